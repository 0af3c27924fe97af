"""Rates and quantiles from counters that only grow."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from api.pages.rates import FRESHNESS_S, RATE_S, Freshness, Rate, quantile


def test_a_rate_is_the_growth_of_the_last_seconds_alone() -> None:
    rate = Rate()
    assert rate.add(0.0, 100.0) is None
    assert rate.add(1.0, 300.0) == 200.0
    for second in range(2, 20):
        latest = rate.add(float(second), 300.0 + 10.0 * (second - 1))
    assert latest == 10.0
    assert RATE_S < 10


def test_a_counter_that_begins_anew_makes_no_negative_rate() -> None:
    rate = Rate()
    rate.add(0.0, 1000.0)
    assert rate.add(1.0, 5.0) is None
    assert rate.add(2.0, 8.0) == 3.0


def test_freshness_is_of_all_workers_and_of_the_last_seconds() -> None:
    freshness = Freshness()
    old = {0.1: 0.0, math.inf: 7.0}
    assert freshness.add(0.0, {"a": old, "b": old}) == {0.1: 0.0, math.inf: 0.0}
    assert freshness.add(1.0, {"a": {0.1: 3.0, math.inf: 10.0}, "b": {0.1: 0.0, math.inf: 8.0}}) == {
        0.1: 3.0,
        math.inf: 4.0,
    }
    later = FRESHNESS_S + 1.0
    assert freshness.add(later, {"a": {0.1: 3.0, math.inf: 10.0}}) == {0.1: 0.0, math.inf: 0.0}


def test_a_worker_that_began_anew_counts_from_its_next_reading() -> None:
    freshness = Freshness()
    freshness.add(0.0, {"a": {0.1: 5.0, math.inf: 5.0}})
    assert freshness.add(1.0, {"a": {0.1: 1.0, math.inf: 1.0}}) == {}


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_that_holds_it(counts: list[int], share: float) -> None:
    edges = [0.001 * 2**place for place in range(len(counts) - 1)] + [math.inf]
    cumulative = dict(zip(edges, (float(sum(counts[: place + 1])) for place in range(len(counts))), strict=True))
    found = quantile(cumulative, share)
    if not sum(counts):
        assert found is None
        return
    holding = next(edge for edge in edges if cumulative[edge] >= share * sum(counts))
    below = max((edge for edge in edges if edge < holding), default=0.0)
    assert found is not None
    assert below <= found <= holding
