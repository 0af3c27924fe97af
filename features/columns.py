"""Counts as columns of whole numbers, for many users, items or events at once: what `features.dense` takes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.catalogue import Item
from features.counts import ATTRIBUTES_OF_ITEMS, ITEM_COUNTS, USER_COUNTS, ItemAttribute
from features.profile import Profile
from features.rows import Row
from features.schema import Ints, multi_hot
from features.windows import totals

_USER = tuple(count for count in USER_COUNTS if count.in_formulas)

USER_COLUMNS: dict[str, int] = {count.name: count.length for count in _USER}
"""The counts of users that formulas may use, each with its length."""

ITEM_COLUMNS = tuple(count.name for count in ITEM_COUNTS if count.in_formulas)
"""The counts of items that formulas may use."""

USER_WIDTH = sum(USER_COLUMNS.values())
WIDTH = USER_WIDTH + len(ITEM_COLUMNS)

_PACKED = struct.Struct(f"={USER_WIDTH}q")


def user_values(profile: Profile, items: Mapping[int, Item]) -> list[int]:
    """The counts of a user that formulas may use, in the order of USER_COLUMNS, lists spelt out.

    Args:
        profile: the user's profile.
        items: the items of the profile's last events, by id.
    """
    last = totals(profile.recent, items)
    values: list[int] = []
    for count in _USER:
        value = count.value(profile, last)
        if isinstance(value, int):
            values.append(value)
        else:
            values += value
    return values


def row_values(row: Row) -> list[int]:
    """The same from a user's feature row."""
    values: list[int] = []
    for name in USER_COLUMNS:
        value = row[name]
        if isinstance(value, int):
            values.append(value)
        else:
            values += value
    return values


def user_columns(rows: Ints) -> dict[str, npt.NDArray[np.integer]]:
    """The counts of users as `features.dense` takes them, from rows of `user_values`; further columns are left out."""
    columns: dict[str, npt.NDArray[np.integer]] = {}
    start = 0
    for name, length in USER_COLUMNS.items():
        columns[name] = rows[:, start] if length == 1 else rows[:, start : start + length]
        start += length
    return columns


def attribute_column(attribute: ItemAttribute, items: Iterable[Item]) -> npt.NDArray[np.integer]:
    """An attribute of items as `features.dense` takes it: INT64 [N], for a list INT8 [N, length] of 0 and 1."""
    values = [attribute.value(item) for item in items]
    if attribute.length == 1:
        return np.array(values, dtype=np.int64)
    return multi_hot([value for value in values if isinstance(value, list)], attribute.length)


class ItemTable:
    """The catalogue as columns, by ascending itemid: the attributes of items.

    Args:
        items: the catalogue.

    Attributes:
        items: the catalogue.
        itemids: INT64 [items], ascending; an item's place in it is its column everywhere.
        attributes: by name, [items] or, for a list, [items, length] of 0 and 1.
    """

    def __init__(self, items: Mapping[int, Item]) -> None:
        self.items = items
        self.itemids = np.array(sorted(items), dtype=np.int64)
        ordered = [items[itemid] for itemid in self.itemids.tolist()]
        self.attributes = {attribute.name: attribute_column(attribute, ordered) for attribute in ATTRIBUTES_OF_ITEMS}

    def __len__(self) -> int:
        return len(self.itemids)

    def column(self, itemid: Ints) -> Ints:
        """Columns of items of the catalogue, INT64 [N]."""
        return np.searchsorted(self.itemids, itemid)

    def find(self, itemid: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """(column, whether it is in the catalogue) of any ids, [N] each; where it is not, the column means nothing."""
        column = np.minimum(self.column(itemid), len(self) - 1)
        return column, self.itemids[column] == itemid

    def columns(self, itemid: Ints, n: Ints, likes: Ints) -> dict[str, npt.NDArray[np.integer]]:
        """Items as `features.dense` takes them; all arguments INT64 [N]."""
        return self.at(self.column(itemid), n, likes)

    def at(self, column: Ints, n: Ints, likes: Ints) -> dict[str, npt.NDArray[np.integer]]:
        """The same of items given by their columns, INT64 [N]."""
        return {"n": n, "likes": likes, **{name: values[column] for name, values in self.attributes.items()}}

    @cached_property
    def terms(self) -> npt.NDArray[np.float64]:
        """1 where an item has a term, FP64 [genres + decades, items]: the genres, then the decades."""
        return np.concatenate([self.attributes[name].T for name in ("genres", "decade")]).astype(np.float64)


class Before:
    """The counts of users, taken one by one while events are folded, as columns.

    Args:
        table: the catalogue.
    """

    def __init__(self, table: ItemTable) -> None:
        self._items = table.items
        self._rows = bytearray()

    def __len__(self) -> int:
        return len(self._rows) // _PACKED.size

    def take(self, profile: Profile) -> None:
        """Take a user's state as it is now."""
        # A fifth of the time that numpy takes to read lists.
        self._rows += _PACKED.pack(*user_values(profile, self._items))

    def columns(self) -> dict[str, npt.NDArray[np.integer]]:
        """Counts of users as `features.dense` takes them, a row for each state taken."""
        return user_columns(np.frombuffer(bytes(self._rows), dtype=np.int64).reshape(-1, USER_WIDTH))
