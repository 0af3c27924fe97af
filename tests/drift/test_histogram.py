"""Bins, and the place of any value in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift import Histogram
from drift.noise import LEAST, Draws, blocks_of

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


def test_users_that_are_alike_within_make_the_band_wider() -> None:
    rng = np.random.default_rng(1)
    userid = np.repeat(np.arange(500), 10)
    alike, independent = np.repeat(rng.normal(size=500), 10), rng.normal(size=5000)
    draws = Draws(userid, 1000, 1)
    bands = []
    for values in (alike, independent):
        histogram = Histogram.of(values)
        bands.append(draws.noise(histogram, histogram.place(values)))
    assert bands[0] > 4 * bands[1] > LEAST


def test_a_series_without_values_has_the_least_band() -> None:
    draws = Draws(np.arange(10), 1000, 1)
    assert draws.noise(Histogram.of(np.array([])), np.full(10, -1)) == LEAST


def test_a_band_is_the_same_for_the_same_seed() -> None:
    userid, values = np.repeat(np.arange(50), 10), np.arange(500.0) % 37
    histogram = Histogram.of(values)
    found = {Draws(userid, 100, 3).noise(histogram, histogram.place(values)) for _ in range(2)}
    assert len(found) == 1
    assert pytest.approx(found.pop()) != Draws(userid, 100, 4).noise(histogram, histogram.place(values))
