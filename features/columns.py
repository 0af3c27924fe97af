"""Feature rows as columns of whole numbers: what `features.dense` takes, for many events at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from features.catalogue import DECADES, GENRES, Item
from features.event import LIKED
from features.profile import Profile, Recent
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

    def genres(self, itemid: Ints) -> npt.NDArray[np.int8]:
        """Genres of items [N] as [N, 18] of 0 and 1."""
        return self._genres[itemid]

    def columns(self, itemid: Ints, n: Ints, likes: Ints) -> dict[str, npt.NDArray[np.integer]]:
        """Item features as `features.dense` takes them; all arguments INT64 [N]."""
        return {"n": n, "likes": likes, "year": self._year[itemid], "genres": self._genres[itemid]}


class Before:
    """States of users, taken one by one while events are folded, and turned into columns together.

    What comes of it equals `user_columns` of the users' rows, in a fraction of the time.

    Args:
        table: the catalogue.
    """

    def __init__(self, table: ItemTable) -> None:
        self._table = table
        self._numbers: list[tuple[int, int, int, int]] = []
        self._lists: list[list[int]] = []
        self._last: list[list[Recent]] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, profile: Profile) -> None:
        """Take a user's state as it is now."""
        self._numbers.append((profile.n, profile.likes, profile.first_ts, profile.last_ts))
        self._lists.append(profile.genre_n + profile.genre_likes + profile.decade_n + profile.decade_likes)
        self._last.append(profile.recent[-30:])

    def drop(self) -> None:
        """Forget the state taken last."""
        for of in (self._numbers, self._lists, self._last):
            of.pop()

    def columns(self) -> dict[str, npt.NDArray[np.integer]]:
        """User features as `features.dense` takes them, a row for each state; at least one."""
        n, likes, first_ts, last_ts = np.array(self._numbers, dtype=np.int64).T
        genre, decade = len(GENRES), DECADES
        ends = np.cumsum([genre, genre, decade])
        genre_n, genre_likes, decade_n, decade_likes = np.split(np.array(self._lists, dtype=np.int64), ends, axis=1)
        n30 = np.array([len(of) for of in self._last], dtype=np.int64)
        flat = [number for of in self._last for _, itemid, rating in of for number in (itemid, rating)]
        itemid, rating = np.array(flat, dtype=np.int64).reshape(-1, 2).T
        liked = (rating >= LIKED).astype(np.int64)
        genres = self._table.genres(itemid)
        end = np.cumsum(n30)
        begin, begin10 = end - n30, end - np.minimum(n30, 10)
        return {
            "n": n,
            "likes": likes,
            "n10": end - begin10,
            "likes10": _between(liked, begin10, end),
            "n30": n30,
            "likes30": _between(liked, begin, end),
            "first_ts": first_ts,
            "last_ts": last_ts,
            "genre_n": genre_n,
            "genre_likes": genre_likes,
            "genre_n30": _between(genres, begin, end),
            "genre_likes30": _between(genres * liked[:, None], begin, end),
            "decade_n": decade_n,
            "decade_likes": decade_likes,
        }


def _between(values: npt.NDArray[np.integer], begin: Ints, end: Ints) -> Ints:
    """Sums of rows from `begin` up to before `end`, for each pair of them."""
    sums = np.zeros((len(values) + 1, *values.shape[1:]), dtype=np.int64)
    np.cumsum(values, axis=0, out=sums[1:])
    return sums[end] - sums[begin]


def user_columns(rows: Ints) -> dict[str, npt.NDArray[np.integer]]:
    """User features as `features.dense` takes them, from rows of `row_values` (further columns are left out)."""
    columns: dict[str, npt.NDArray[np.integer]] = {}
    start = 0
    for name, length in USER_COLUMNS.items():
        columns[name] = rows[:, start] if length == 1 else rows[:, start : start + length]
        start += length
    return columns
