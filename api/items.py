"""The items in memory: the catalogue with its changes, and counters that follow the stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from features import Id, Item, Layer, Row, Schema
from features.changed_columns import ChangedTable
from features.columns import ItemTable
from scoring import RecentCounters
from scoring.counters import COLUMNS


class LiveItems:
    """The catalogue with its counters.

    Every change of counters makes new ones, and every change of items a new object, so that a request sees one state.
    Items that are withdrawn have no column, so that no list has them.

    Args:
        schema: of the data set.
        items: the catalogue as it was published.
        half_life_days: half-life of recent popularity, in days of event time.

    Attributes:
        layer: the catalogue with its changes, those of all shards; withdrawn items included.
        withdrawn: the withdrawn items.
        table: the items that lists may have, as columns.
        ordered: these items by column.
        counters: as of the last change.
    """

    def __init__(self, schema: Schema, items: Mapping[Id, Item], half_life_days: float) -> None:
        self.layer = Layer(items)
        self.withdrawn: frozenset[Id] = frozenset()
        self.table = ItemTable(schema, items)
        self.ordered = _objects([items[itemid] for itemid in self.table.itemids])
        columns = {name: np.zeros(len(self.table), dtype=np.int64) for name in COLUMNS}
        self.counters = RecentCounters(**columns, half_life_days=half_life_days)
        self._unlisted: dict[Id, dict[str, int]] = {}

    @property
    def items(self) -> Layer:
        """The items by id, withdrawn ones included."""
        return self.layer

    def changed(self, layer: Layer) -> LiveItems:
        """The items with further changes; these ones where there is nothing new.

        Args:
            layer: changes, of which those that are known already and earlier ones have no effect.
        """
        merged, known = Layer.merged([self.layer, layer]), self.layer.changed
        if all(merged.changed[itemid] == known.get(itemid) for itemid in layer.changed):
            return self
        new = [
            itemid
            for itemid in layer.changed
            if itemid not in known or merged.changed[itemid].current != known[itemid].current
        ]
        items = copy(self)
        items.layer, items.withdrawn = merged, frozenset(merged.withdrawn)
        if not new:
            return items
        items.table = table = ChangedTable(self.table, merged, new, items.withdrawn)
        items.ordered = table.carry(self.ordered, _objects([merged[itemid] for itemid in table.added]))
        former = {itemid: self.counts(itemid) for itemid in new if itemid in self.layer}
        columns = {
            name: table.carry(
                getattr(self.counters, name),
                np.array([former.get(itemid, {}).get(name, 0) for itemid in table.added], dtype=np.int64),
            )
            for name in COLUMNS
        }
        items.counters = RecentCounters(**columns, half_life_days=self.counters.half_life_days)
        items._unlisted = {
            itemid: counts for itemid, counts in {**self._unlisted, **former}.items() if itemid in items.withdrawn
        }
        return items

    def update(self, rows: Mapping[Id, Row]) -> None:
        """Take new rows; a count that one lacks is 0."""
        for itemid in rows.keys() & self.withdrawn:
            self._unlisted[itemid] = {name: int(_count(rows[itemid], name)) for name in COLUMNS}
        listed = [itemid for itemid in rows if itemid not in self.withdrawn]
        if not listed:
            return
        column = self.table.column(listed)
        columns = {name: getattr(self.counters, name).copy() for name in COLUMNS}
        for name, values in columns.items():
            values[column] = np.array([_count(rows[itemid], name) for itemid in listed], dtype=np.int64)
        self.counters = RecentCounters(**columns, half_life_days=self.counters.half_life_days)

    def counts(self, itemid: Id) -> dict[str, int]:
        """The counters of an item of the catalogue, by name."""
        if itemid in self.withdrawn:
            return self._unlisted.get(itemid) or dict.fromkeys(COLUMNS, 0)
        (column,) = self.table.column([itemid])
        return {name: int(getattr(self.counters, name)[column]) for name in COLUMNS}

    def name(self, itemid: Id) -> str:
        """The title of an item; its id where it has none, or is not known yet."""
        item = self.layer.get(itemid)
        return str(itemid) if item is None else item.name

    def listed(self, itemids: Collection[Id]) -> list[Id]:
        """Those of some items that lists may have."""
        _, known = self.table.find(list(itemids))
        return [itemid for itemid, is_known in zip(itemids, known, strict=True) if is_known]


def _count(row: Row, name: str) -> Any:
    return row.get(name, 0)


def _objects(items: list[Item]) -> npt.NDArray[Any]:
    """Items as an array, which is carried over as columns are."""
    objects = np.empty(len(items), dtype=object)
    objects[:] = items
    return objects
