"""The items in memory: the catalogue, and counters that follow the stream."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features import Item, Row
from features.columns import ItemTable
from scoring import RecentCounters
from scoring.counters import COLUMNS


class LiveItems:
    """The catalogue with its counters. Every change makes new counters, so that a request sees one state of them.

    Args:
        items: the catalogue.
        half_life_days: half-life of recent popularity, in days of event time.

    Attributes:
        items: the catalogue.
        table: the same as columns.
        ordered: the items by column.
        counters: as of the last change.
    """

    def __init__(self, items: Mapping[int, Item], half_life_days: float) -> None:
        self.items = items
        self.table = ItemTable(items)
        self.ordered = [items[itemid] for itemid in self.table.itemids.tolist()]
        columns = {name: np.zeros(len(self.table), dtype=np.int64) for name in COLUMNS}
        self.counters = RecentCounters(**columns, half_life_days=half_life_days)

    def update(self, rows: Mapping[int, Row]) -> None:
        """Take new rows; a count that one lacks is 0."""
        if not rows:
            return
        column = self.table.column(np.array(list(rows), dtype=np.int64))
        columns = {name: getattr(self.counters, name).copy() for name in COLUMNS}
        for name, values in columns.items():
            values[column] = np.array([row.get(name, 0) for row in rows.values()], dtype=np.int64)
        self.counters = RecentCounters(**columns, half_life_days=self.counters.half_life_days)
