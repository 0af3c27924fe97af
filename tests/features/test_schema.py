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
    fold,
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
