"""Counts as columns of numbers, for many users, items or events at once: what `features.dense` takes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features.attributes import Attribute
from features.catalogue import UNKNOWN, Item, ItemValue
from features.counts import ItemAttribute
from features.ids import Id
from features.layer import Items
from features.profile import Profile
from features.rows import Row
from features.schema import Columns, Ints, Schema, multi_hot


def user_values(schema: Schema, profile: Profile, items: Items) -> list[int]:
    """The counts of a user that formulas may use, in the order of `schema.user_columns`, lists spelt out.

    Args:
        schema: of the data set.
        profile: the user's profile.
        items: the items of the profile's last events, by id; those that changed in a layer.
    """
    last = schema.totals(profile, items)
    values: list[int] = []
    for count in schema.user_counts:
        if count.in_formulas:
            value = count.value(profile, last)
            if isinstance(value, int):
                values.append(value)
            else:
                values += value
    return values


def row_values(schema: Schema, row: Row) -> list[int]:
    """The same from a user's feature row."""
    values: list[int] = []
    for name in schema.user_columns:
        value = row[name]
        if isinstance(value, list):
            values += value
        else:
            values.append(int(value))
    return values


def user_columns(schema: Schema, rows: Ints) -> Columns:
    """The counts of users as `features.dense` takes them, from rows of `user_values`; further columns are left out."""
    columns: dict[str, npt.NDArray[np.number[Any]]] = {}
    start = 0
    for name, length in schema.user_columns.items():
        columns[name] = rows[:, start] if length == 1 else rows[:, start : start + length]
        start += length
    return columns


def attribute_column(attribute: ItemAttribute, items: Iterable[Item]) -> npt.NDArray[np.number[Any]]:
    """An attribute of items as `features.dense` takes it: a number [N], for a list INT8 [N, length] of 0 and 1."""
    values = [attribute.value(item) for item in items]
    if attribute.length == 1:
        return np.array(values, dtype=np.int64 if attribute.whole else np.float64)
    return multi_hot([value for value in values if isinstance(value, list)], attribute.length)


class ItemTable:
    """The catalogue as columns, by ascending itemid: the attributes of items.

    Args:
        schema: of the data set.
        items: the catalogue.

    Attributes:
        schema, items: the same.
        itemids: ascending; an item's place in it is its column everywhere.
        attributes: by name, [items] or, for a list, [items, length] of 0 and 1.
    """

    def __init__(self, schema: Schema, items: Mapping[Id, Item]) -> None:
        self.schema, self.items = schema, items
        self.itemids: tuple[Id, ...] = tuple(sorted(items))
        self._column = {itemid: column for column, itemid in enumerate(self.itemids)}
        ordered = [items[itemid] for itemid in self.itemids]
        self.attributes = {
            attribute.name: attribute_column(attribute, ordered) for attribute in schema.attributes_of_items
        }
        self._codes: dict[str, npt.NDArray[np.integer[Any]]] = {}
        self._kinds: dict[str, tuple[Ints, list[tuple[int, ...]]]] = {}
        self._numbers: dict[str, npt.NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self.itemids)

    def column(self, itemids: Iterable[Id]) -> Ints:
        """Columns of items of the catalogue, INT64 [N].

        Raises:
            KeyError: if one is not in the catalogue.
        """
        return np.array([self._column[itemid] for itemid in itemids], dtype=np.int64)

    def find(self, itemids: Sequence[Id]) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """(column, whether it is in the catalogue) of any ids, [N] each; where it is not, the column is 0."""
        known = np.array([itemid in self._column for itemid in itemids], dtype=bool)
        return np.array([self._column.get(itemid, 0) for itemid in itemids], dtype=np.int64), known

    def at(self, column: Ints, n: Ints, likes: Ints) -> Columns:
        """Items as `features.dense` takes them, given by their columns; all arguments INT64 [N]."""
        return {"n": n, "likes": likes, **{name: values[column] for name, values in self.attributes.items()}}

    def codes(self, name: str) -> npt.NDArray[np.integer[Any]]:
        """The codes of an attribute's values, or of a number's buckets; kept.

        Returns:
            INT64 [items], UNKNOWN where the value is missing; of categories INT8 [items, length] of 0 and 1.
        """
        if name not in self._codes:
            attribute, values = self._values(name)
            if attribute.kind == "categories":
                self._codes[name] = self.attributes[attribute.term_field].astype(np.int8, copy=False)
            else:
                codes = ((*attribute.codes_of(value), UNKNOWN)[0] for value in values)
                self._codes[name] = np.fromiter(codes, dtype=np.int64, count=len(self))
        return self._codes[name]

    def kinds(self, name: str) -> tuple[Ints, list[tuple[int, ...]]]:
        """The items by their values of an attribute: (kind of each, INT64 [items]; codes of each kind's values)."""
        if name not in self._kinds:
            attribute, values = self._values(name)
            kinds: dict[tuple[int, ...], int] = {}
            numbers = (kinds.setdefault(attribute.codes_of(value), len(kinds)) for value in values)
            self._kinds[name] = np.fromiter(numbers, dtype=np.int64, count=len(self)), list(kinds)
        return self._kinds[name]

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """An attribute that is a number, FP64 [items], NaN where it is missing; kept."""
        if name not in self._numbers:
            _, values = self._values(name)
            numbers = (np.nan if value is None else value for value in values)
            self._numbers[name] = np.fromiter(numbers, dtype=np.float64, count=len(self))
        return self._numbers[name]

    def _values(self, name: str) -> tuple[Attribute, Iterator[ItemValue]]:
        """An attribute, and its values in the order of the columns."""
        attributes = self.schema.item_attributes
        place = next(place for place, attribute in enumerate(attributes) if attribute.name == name)
        return attributes[place], (self.items[itemid].values[place] for itemid in self.itemids)

    @cached_property
    def terms(self) -> npt.NDArray[np.float64]:
        """1 where an item has a term, FP64 [`schema.n_terms`, items]."""
        tables = [self.attributes[term.term_field].T for term in self.schema.terms]
        return np.concatenate([np.zeros((0, len(self))), *tables]).astype(np.float64)


class Before:
    """The counts of users, taken one by one while events are folded, as columns.

    Args:
        table: the catalogue.
        items: the items of the users' last events, where they changed; those of the table if None.
    """

    def __init__(self, table: ItemTable, items: Items | None = None) -> None:
        self._table, self._schema, self._items = table, table.schema, table.items if items is None else items
        self._rows = bytearray()
        self._packed = struct.Struct(f"={self._schema.user_width}q")

    @classmethod
    def joined(cls, parts: Sequence[Before]) -> Before:
        """The counts that were taken in some parts, at least one, one after the other."""
        whole = cls(parts[0]._table, parts[0]._items)
        for part in parts:
            whole._rows += part._rows
        return whole

    def __len__(self) -> int:
        return len(self._rows) // self._packed.size

    def take(self, profile: Profile) -> None:
        """Take a user's state as it is now."""
        # A fifth of the time that numpy takes to read lists.
        self._rows += self._packed.pack(*user_values(self._schema, profile, self._items))

    def columns(self) -> Columns:
        """Counts of users as `features.dense` takes them, a row for each state taken."""
        rows = np.frombuffer(bytes(self._rows), dtype=np.int64).reshape(-1, self._schema.user_width)
        return user_columns(self._schema, rows)
