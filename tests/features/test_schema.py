"""The models' input."""

from __future__ import annotations

import numpy as np
import pytest

from features import (
    DENSE,
    DENSE_COLUMNS,
    GENRES,
    Event,
    Item,
    Profile,
    User,
    dense,
    encoder_input,
    fold,
    popularity,
    preferences,
    user_row,
)
from features.columns import ItemTable
from features.declarations import PRIOR, SHRINK

ITEMS = {1: Item(1, "a", 1985, (0, 4)), 2: Item(2, "b", 1995, (4,))}


def rows() -> tuple[dict, dict]:
    profile = Profile(1)
    fold(profile, None, Event(1, 1, 5, 86400), ITEMS[1])
    fold(profile, None, Event(1, 2, 2, 4 * 86400), ITEMS[2])
    user = user_row(profile, User(1, 0, 0, 0), ITEMS)
    item = ItemTable(ITEMS).columns(np.array([1]), np.array([3]), np.array([2]))
    return {name: np.array([value]) for name, value in user.items()}, item


def rate(likes: int, n: int) -> float:
    return (likes + SHRINK * PRIOR) / (n + SHRINK)


def test_dense_features_are_what_their_names_say() -> None:
    named = dict(zip(DENSE_COLUMNS, dense(*rows())[0].tolist(), strict=True))
    expected = {
        "user_log_n": np.log(3),
        "user_like_rate": rate(1, 2),
        "user_like_rate10": rate(1, 2),
        "user_like_rate30": rate(1, 2),
        "genre_affinity": (rate(1, 1) + rate(1, 2)) / 2,
        "genre_exposure": (1 / 2 + 2 / 2) / 2,
        "genre_affinity30": (rate(1, 1) + rate(1, 2)) / 2,
        "genre_exposure30": (1 / 2 + 2 / 2) / 2,
        "item_like_rate": rate(2, 3),
        "item_log_n": np.log(4),
        "item_year": 0.25,
        "decade_affinity": rate(1, 1),
        "decade_exposure": 1 / 2,
        "user_log_days": np.log(4),
    }
    assert set(expected) <= set(DENSE)
    for name, value in expected.items():
        assert named[name] == pytest.approx(value, rel=1e-6), name
    assert [named[f"genre:{name}"] for name in GENRES] == [1.0 if place in (0, 4) else 0.0 for place in range(18)]


def test_one_user_row_serves_many_items() -> None:
    user, item = rows()
    many = {name: np.repeat(column, 3, axis=0) for name, column in item.items()}
    assert (dense(user, many) == np.repeat(dense(user, item), 3, axis=0)).all()


def test_the_encoder_sees_the_last_events_oldest_first() -> None:
    recent = [(ts, 10 + ts, 1 + ts % 5) for ts in range(7)]
    items, liked = encoder_input(recent, 5)
    assert items.tolist() == [[12, 13, 14, 15, 16]]
    assert liked.tolist() == [[0, 1, 1, 0, 0]]
    items, liked = encoder_input(recent[:2], 5)
    assert items.tolist() == [[10, 11, 0, 0, 0]]


def test_recent_likes_weigh_more_than_old_ones() -> None:
    old_then_new = [(1, 2, 5)] * 30 + [(2, 1, 5)] * 30
    genres = preferences(old_then_new, ITEMS.get)["genres"]
    assert genres[4] == 1.0
    assert 0 < genres[0] < 1.0


def test_what_is_disliked_is_no_preference() -> None:
    assert preferences([(1, 1, 1)], ITEMS.get) == {"genres": {}, "decades": {}}


def test_popularity_is_recent_likes_first() -> None:
    day = 86400
    item = {
        "recent_likes": np.array([10, 10, 0]),
        "likes": np.array([10, 10, 50]),
        "last_ts": np.array([100 * day, 40 * day, 100 * day]),
    }
    now = popularity(item, 30.0)
    assert now[0] == pytest.approx(11.0)
    assert now[1] == pytest.approx(3.5)
    assert now[2] == pytest.approx(5.0)


def rated(last_ts: list[int], likes: int = 10) -> dict[str, np.ndarray]:
    n = len(last_ts)
    return {"recent_likes": np.full(n, likes), "likes": np.full(n, likes), "last_ts": np.array(last_ts)}


def test_one_event_from_the_future_ages_no_other_item() -> None:
    times = [100 * 86_400 + place for place in range(200)]
    before = popularity(rated(times), 30.0)
    for future in (2**32 - 1, 2_000_000_000):
        after = popularity(rated([future, *times[1:]]), 30.0)
        assert after[1:] == pytest.approx(before[1:], rel=0.001)
        assert after[0] == pytest.approx(11.0)


def test_a_few_live_ratings_during_a_replay_of_the_past_age_no_other_item() -> None:
    times = [100 * 86_400 + place for place in range(1000)]
    before = popularity(rated(times), 30.0)
    after = popularity(rated([1_780_000_000 + place for place in range(9)] + times[9:]), 30.0)
    assert after[9:] == pytest.approx(before[9:], rel=0.001)


def test_what_most_items_are_rated_in_is_the_present() -> None:
    now = popularity(rated([100 * 86_400] * 900 + [160 * 86_400] * 100), 30.0)
    assert now[0] == pytest.approx(3.5)
    assert now[-1] == pytest.approx(11.0)


def test_items_that_nobody_has_rated_do_not_tell_the_time() -> None:
    assert popularity(rated([0, 0, 0], 0), 30.0).tolist() == [0.0, 0.0, 0.0]
    assert popularity(rated([0] * 100 + [40 * 86_400, 100 * 86_400]), 30.0)[100] == pytest.approx(3.5)
