"""The items in memory: what they are and their features, which follow the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features import DECADES, Item, Row, popularity
from features.columns import attribute_column
from features.counts import ATTRIBUTES_OF_ITEMS, ITEM_COUNTS


class LiveItems:
    """Item features as columns. Every change makes a new set of columns, so that a request sees one state of each row.

    Args:
        items: the catalogue.
        half_life_days: half-life of recent popularity, in days of event time.
    """

    def __init__(self, items: Mapping[int, Item], half_life_days: float) -> None:
        self.items = items
        self._half_life_days = half_life_days
        self.itemids = np.array(sorted(items), dtype=np.int64)
        self._columns: dict[str, npt.NDArray[Any]] = {
            count.name: np.zeros(len(self.itemids), dtype=np.int64) for count in ITEM_COUNTS
        }
        ordered = [items[itemid] for itemid in self.itemids.tolist()]
        self._columns |= {attribute.name: attribute_column(attribute, ordered) for attribute in ATTRIBUTES_OF_ITEMS}
        self._decades = np.array([items[itemid].decade for itemid in self.itemids.tolist()], dtype=np.int64)
        self._popular: npt.NDArray[np.int64] | None = None

    def update(self, rows: Mapping[int, Row]) -> None:
        """Take new rows; one that is older than what is held changes nothing."""
        if not rows:
            return
        places = np.searchsorted(self.itemids, list(rows))
        versions = np.array([row["version"] for row in rows.values()], dtype=np.int64)
        newer = versions >= self._columns["version"][places]
        columns = dict(self._columns)
        for count in ITEM_COUNTS:
            column = columns[count.name].copy()
            values = np.array([row[count.name] for row in rows.values()], dtype=np.int64)
            column[places[newer]] = values[newer]
            columns[count.name] = column
        self._columns = columns
        self._popular = None

    def columns(self, itemids: Sequence[int]) -> dict[str, npt.NDArray[Any]]:
        """Features of some items as columns, `len(itemids)` rows; all of them must be in the catalogue."""
        places = np.searchsorted(self.itemids, itemids)
        return {name: column[places] for name, column in self._columns.items()}

    def popular(self, n: int, exclude: set[int]) -> list[tuple[int, float]]:
        """The n most popular items now and their popularity, without the excluded."""
        columns = self._columns
        scores = popularity(columns, self._half_life_days)
        order = self._popular
        if order is None:
            order = self._popular = np.lexsort((self.itemids, -scores))
        found = []
        for place in order.tolist():
            itemid = int(self.itemids[place])
            if itemid not in exclude:
                found.append((itemid, float(scores[place])))
                if len(found) == n:
                    break
        return found

    def by_terms(
        self, preferences: Mapping[str, Mapping[int, float]], n: int, exclude: set[int]
    ) -> list[tuple[int, float]]:
        """The n items that best match preferred terms, and their scores; without the excluded, and only what matches.

        An item's score is the sum of the weights of its genres and its decade, times its popularity now: the recall by
        terms that Elasticsearch does, from memory.

        Args:
            preferences: as `features.preferences` gives them.
            n: most items.
            exclude: items that must not come back.
        """
        columns = self._columns
        genres = np.zeros(columns["genres"].shape[1])
        decades = np.zeros(DECADES)
        for weights, wanted in ((genres, preferences["genres"]), (decades, preferences["decades"])):
            for term, weight in wanted.items():
                weights[term] = weight
        matched = columns["genres"] @ genres + decades[self._decades]
        scores = matched * popularity(columns, self._half_life_days)
        found: list[tuple[int, float]] = []
        for place in np.lexsort((self.itemids, -scores)).tolist():
            itemid = int(self.itemids[place])
            if len(found) == n or scores[place] <= 0:
                break
            if itemid not in exclude:
                found.append((itemid, float(scores[place])))
        return found
