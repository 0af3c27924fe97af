"""Popularity, and the clock of the events."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.popularity import popularity


def test_popularity_is_recent_likes_first() -> None:
    day = 86400
    last_ts = np.array([100 * day, 40 * day, 100 * day])
    now = popularity(np.array([10, 10, 0]), np.array([10, 10, 50]), last_ts, 30.0)
    assert now[0] == pytest.approx(11.0)
    assert now[1] == pytest.approx(3.5)
    assert now[2] == pytest.approx(5.0)


def rated(last_ts: list[int], likes: int = 10) -> np.ndarray:
    n = len(last_ts)
    return popularity(np.full(n, likes), np.full(n, likes), np.array(last_ts), 30.0)


def test_one_event_from_the_future_ages_no_other_item() -> None:
    times = [100 * 86_400 + place for place in range(200)]
    before = rated(times)
    for future in (2**32 - 1, 2_000_000_000):
        after = rated([future, *times[1:]])
        assert after[1:] == pytest.approx(before[1:], rel=0.001)
        assert after[0] == pytest.approx(11.0)


def test_a_few_live_ratings_during_a_replay_of_the_past_age_no_other_item() -> None:
    times = [100 * 86_400 + place for place in range(1000)]
    before = rated(times)
    after = rated([1_780_000_000 + place for place in range(9)] + times[9:])
    assert after[9:] == pytest.approx(before[9:], rel=0.001)


def test_what_most_items_are_rated_in_is_the_present() -> None:
    now = rated([100 * 86_400] * 900 + [160 * 86_400] * 100)
    assert now[0] == pytest.approx(3.5)
    assert now[-1] == pytest.approx(11.0)


def test_items_that_nobody_has_rated_do_not_tell_the_time() -> None:
    assert rated([0, 0, 0], 0).tolist() == [0.0, 0.0, 0.0]
    assert rated([0] * 100 + [40 * 86_400, 100 * 86_400])[100] == pytest.approx(3.5)
