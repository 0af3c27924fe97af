"""Bins, and the place of any value in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift import Histogram
from drift.divergence import psi
from drift.thresholds import Blocks, Tail, blocks_of, poisson_threshold, quadratic_quantile, tails

numbers = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.integers(0, 3).map(float)), min_size=1)


@given(numbers)
def test_every_reference_value_has_a_bin_within_range_or_is_missing(found: list[float]) -> None:
    values = np.array(found, dtype=np.float32)
    histogram = Histogram.of(values)
    assert sum(histogram.counts) == len(values)
    assert histogram.counts[-3:-1] == [0, 0]
    assert histogram.counts[-1] == np.isnan(values).sum()
    assert histogram.bins == len(histogram.labels()) == len(histogram.edges) + 4
    assert np.bincount(histogram.place(values), minlength=histogram.bins).tolist() == histogram.counts


@given(numbers)
def test_the_last_bit_of_a_value_decides_nothing(found: list[float]) -> None:
    values = np.array(found, dtype=np.float32)
    histogram = Histogram.of(values)
    present = np.unique(values[~np.isnan(values)])
    if len(present) > 1 and np.diff(present).min() <= 4 * np.spacing(np.abs(present).max()):
        return
    for other in (np.nextafter(present, np.float32(np.inf)), np.nextafter(present, np.float32(-np.inf))):
        near = np.abs(other - present) < 1e-7 * np.abs(present).max(initial=0.0)
        assert histogram.place(other)[near].tolist() == histogram.place(present)[near].tolist()


def test_bins_hold_even_shares_and_other_values_fall_where_they_belong() -> None:
    histogram = Histogram.of(np.arange(1000.0))
    assert histogram.counts == [100] * 10 + [0, 0, 0]
    assert histogram.place(np.array([-5.0, 0.0, 99.0, 100.0, 999.0, 1001.0, np.nan])).tolist() == [
        10,
        0,
        0,
        1,
        9,
        11,
        12,
    ]


def test_few_values_are_categories() -> None:
    histogram = Histogram.of(np.array([0.0, 1.0, 1.0, 1.0]))
    assert histogram.counts == [1, 3, 0, 0, 0]
    assert histogram.labels()[:2] == ["0", "1"]


def test_without_values_all_is_missing() -> None:
    histogram = Histogram.of(np.array([np.nan, np.nan]))
    assert histogram.counts == [0, 0, 0, 2]
    assert histogram.shares.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_blocks_do_not_cross_users() -> None:
    assert blocks_of(np.array([5] * 21 + [6] + [7] * 10)).tolist() == [0, 10, 20, 21, 22]


def tail(values: np.ndarray, block: np.ndarray, seed: int = 1) -> Tail:
    histogram = Histogram.of(values)
    blocks = Blocks.of(block, histogram.place(values), histogram.bins)
    return tails({"series": (histogram, blocks)}, 1000, seed)["series"]


def test_users_that_are_alike_within_make_thresholds_higher() -> None:
    rng = np.random.default_rng(1)
    block = np.repeat(np.arange(500), 10)
    alike = tail(np.repeat(rng.normal(size=500), 10), block)
    independent = tail(rng.normal(size=5000), block)
    assert alike.unit == pytest.approx(10.0, rel=0.1) and independent.unit == pytest.approx(1.0, rel=0.2)
    assert all(high > 4 * low for high, low in zip(alike.quantiles, independent.quantiles, strict=True))


def test_windows_exceed_a_threshold_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    block, values = np.repeat(np.arange(2000), 10), np.repeat(rng.normal(size=2000), 10) + rng.normal(size=20_000)
    histogram, found = Histogram.of(values), tail(values, block)
    counts = Blocks.of(block, histogram.place(values), histogram.bins).counts
    others = np.random.default_rng(99)
    windows = np.concatenate([counts[others.integers(0, 2000, (1000, 100))].sum(axis=1) for _ in range(100)])
    measured = 1000 * psi(histogram.shares, windows.astype(np.int64), found.unit)
    for power in (2, 3, 4):
        expected = 100_000 * 10.0**-power
        exceeded = int((measured > found.quantiles[power - 2]).sum())
        assert exceeded <= expected + 4 * expected**0.5
        assert exceeded >= expected / 10 - 1


def test_the_quantile_of_weighted_chi_squares_is_that_of_draws() -> None:
    weights = np.array([5.0, 2.0, 1.0])
    drawn = (np.random.default_rng(3).chisquare(1, (1_000_000, 3)) * weights).sum(axis=1)
    for probability in (1e-2, 1e-3, 1e-4):
        assert quadratic_quantile(probability, weights) == pytest.approx(np.quantile(drawn, 1 - probability), rel=0.05)


def test_a_poisson_threshold_is_the_least_that_is_rare_enough() -> None:
    for mean in (0.01, 0.5, 3.0, 40.0):
        for probability in (1e-3, 1e-8):
            most = poisson_threshold(mean, probability)
            terms = [math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(most, most + 400)]
            assert sum(terms[1:]) <= 1.1 * probability
            assert most == 0 or sum(terms) > probability / 1.1


def test_a_series_without_values_has_thresholds() -> None:
    assert min(tail(np.full(100, np.nan), np.arange(100)).quantiles) > 0


def test_thresholds_are_the_same_for_the_same_seed() -> None:
    block, values = np.repeat(np.arange(50), 10), np.arange(500.0) % 37
    assert tail(values, block, 3) == tail(values, block, 3)
    assert tail(values, block, 3) != tail(values, block, 4)
