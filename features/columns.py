"""Feature rows as columns of whole numbers: what `features.dense` takes, for many events at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from features.catalogue import DECADES, GENRES, Item
from features.rows import Row
from features.schema import Ints, multi_hot

USER_COLUMNS: dict[str, int] = {
    "n": 1,
    "likes": 1,
    "n10": 1,
    "likes10": 1,
    "n30": 1,
    "likes30": 1,
    "first_ts": 1,
    "last_ts": 1,
    "genre_n": len(GENRES),
    "genre_likes": len(GENRES),
    "genre_n30": len(GENRES),
    "genre_likes30": len(GENRES),
    "decade_n": DECADES,
    "decade_likes": DECADES,
}
"""The user features that `features.dense` reads, each with its length."""

ITEM_COLUMNS = ("n", "likes")
"""The item features that `features.dense` reads and events change."""

WIDTH = sum(USER_COLUMNS.values()) + len(ITEM_COLUMNS)


def row_values(row: Row) -> list[int]:
    """The features of a user's row, in the order of USER_COLUMNS, lists spelt out."""
    values: list[int] = []
    for name in USER_COLUMNS:
        value = row[name]
        if isinstance(value, int):
            values.append(value)
        else:
            values += value
    return values


class ItemTable:
    """The item features that no event changes, looked up for many items at once."""

    def __init__(self, items: Mapping[int, Item]) -> None:
        size = max(items) + 1
        self._year = np.zeros(size, dtype=np.int64)
        self._genres = np.zeros((size, len(GENRES)), dtype=np.int8)
        for itemid, item in items.items():
            self._year[itemid] = item.year
        self._genres[list(items)] = multi_hot([item.genres for item in items.values()])

    def columns(self, itemid: Ints, n: Ints, likes: Ints) -> dict[str, npt.NDArray[np.integer]]:
        """Item features as `features.dense` takes them; all arguments INT64 [N]."""
        return {"n": n, "likes": likes, "year": self._year[itemid], "genres": self._genres[itemid]}


def user_columns(rows: Ints) -> dict[str, npt.NDArray[np.integer]]:
    """User features as `features.dense` takes them, from rows of `row_values` (further columns are left out)."""
    columns: dict[str, npt.NDArray[np.integer]] = {}
    start = 0
    for name, length in USER_COLUMNS.items():
        columns[name] = rows[:, start] if length == 1 else rows[:, start : start + length]
        start += length
    return columns
