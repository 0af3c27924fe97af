"""The quality of lists: the places of the wanted items, the breadth of the catalogue, the long tail."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from offline import ranking_metrics
from offline.data.readers import Ints, Ratings, events_of_items
from offline.data.split import Split
from scoring import MISSED, NO_ITEM, Lists

FIRST = 10
"""Items of a list that count for coverage and tail."""

HEAD = 0.2
"""Share of the catalogue, the items with most offline events, that is not the long tail."""


class Tally:
    """Collects the lists of one system.

    Args:
        tail: which items are of the long tail, bool [items].
        targets: events for which lists are asked.
    """

    def __init__(self, tail: npt.NDArray[np.bool_], targets: int) -> None:
        self._tail = tail
        self._shown = np.zeros(len(tail), dtype=np.int64)
        self.rank = np.full(targets, MISSED, dtype=np.int64)

    def add(self, lists: Lists, row: Ints, target: Ints, wanted: Ints) -> None:
        """Take the lists for some targets.

        Args:
            lists: of B moments.
            row: row of each target's list, INT64 [T].
            target: number of each target, INT64 [T].
            wanted: column of each target's item, INT64 [T].
        """
        asked = lists.rows(row)
        self.rank[target] = asked.rank_of(wanted)
        shown = asked.first(FIRST).column.reshape(-1)
        self._shown += np.bincount(shown[shown != NO_ITEM], minlength=len(self._shown))

    def figures(self) -> dict[str, float]:
        """The metrics of `of_ranks`; coverage: share of the catalogue in the first ten of any list;
        tail: share of the long tail in the first ten of all lists."""
        return {
            **ranking_metrics.of_ranks(self.rank),
            "coverage": float(np.mean(self._shown > 0)),
            "tail": float(self._shown[self._tail].sum() / max(self._shown.sum(), 1)),
        }


def long_tail(ratings: Ratings, parts: Split) -> npt.NDArray[np.bool_]:
    """All but the HEAD items with most offline events, ties by itemid; bool [items], by ascending itemid."""
    n = events_of_items(ratings, parts.offline)
    tail = np.ones(len(n), dtype=bool)
    tail[np.argsort(-n, kind="stable")[: round(HEAD * len(n))]] = False
    return tail
