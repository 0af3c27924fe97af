"""Vectors and weights of items for the index of a run, whether the run was trained with them or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from features.catalogue import Item
from features.ids import Id
from features.schema import Floats, Schema
from scoring.metadata import Regression
from scoring.run_ids import RunIds
from stores.redis.live import LiveRun
from stores.redis.published_runs import PublishedRuns

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex  # it takes a second to load

NEW_PRIOR = 0.1
"""Weight of an item that the run does not know: that of items without positive events (`offline.data.term_prior`)."""


class RunItems:
    """The vectors and weights of items for the index of a run.

    An item that the run was trained with has those of the training, whatever its attributes are by now; any other one
    has the vector that the run's regression gives to its attributes.

    Args:
        published: where they are stored.
        run: the run.
        ids: of the run.
        regression: of the run.
    """

    def __init__(self, published: PublishedRuns, run: LiveRun, ids: RunIds, regression: Regression) -> None:
        self._published, self._run, self._ids, self._regression = published, run, ids, regression

    @classmethod
    def of(
        cls, published: PublishedRuns, run: LiveRun, ids: RunIds, known: Mapping[Id, Item], index: ItemIndex
    ) -> RunItems:
        """The items of a run; of one that an earlier release published, its index tells them, and they are stored.

        Args:
            published: where they are stored.
            run: the run.
            ids: of the run.
            known: the catalogue that the index was filled with.
            index: a client of Elasticsearch.

        Raises:
            OtherVersion: if they are of another release.
            Unreachable: if a store does not answer.
        """
        if (regression := published.regression(run.run)) is None:
            held = index.rows(run.index)
            vectors = {itemid: row for itemid, row in held.items() if itemid in known}
            mean = np.zeros((1, run.dim), dtype=np.float32)
            regression = Regression.of_mean(np.array([row[:-1] for row in vectors.values()]) if vectors else mean)
            missing = np.append(regression.weights[0], np.float32(NEW_PRIOR))
            rows = [missing if itemid is None else vectors.get(itemid, missing) for itemid in ids.items.ids]
            published.set_items(run.run, regression, np.array(rows, dtype=np.float32))
        return cls(published, run, ids, regression)

    @property
    def provisional(self) -> bool:
        """True while new items have the mean of the run's vectors, until the run is published again."""
        return not self._regression.columns.blocks

    def rows(self, schema: Schema, items: Sequence[Item]) -> list[tuple[Floats, float]]:
        """(vector FP32 [dim], weight) of some items.

        Raises:
            Unreachable: if Redis does not answer.
        """
        numbering = self._ids.items
        known = [item for item in items if item.itemid in numbering]
        stored = self._published.item_rows(
            self._run.run, [numbering.number(item.itemid) for item in known], self._run.dim
        )
        rows = {item.itemid: row for item, row in zip(known, stored, strict=True) if row is not None}
        others = [item for item in items if item.itemid not in rows]
        predicted = dict(zip((item.itemid for item in others), self._regression.vectors(schema, others), strict=True))
        return [
            (rows[item.itemid][:-1], float(rows[item.itemid][-1]))
            if item.itemid in rows
            else (predicted[item.itemid], NEW_PRIOR)
            for item in items
        ]
