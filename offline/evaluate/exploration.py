"""The cost of exploration: the same lists with a share of their positions given to items with few events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from features.columns import ItemTable
from offline.data.readers import Ratings
from offline.evaluate.state import Known
from offline.evaluate.tally import Tally
from scoring import Exploration, Lists
from scoring.explored import arranged, explored

SHARE = 0.1
"""The share that is measured while `recall.explore_share` is 0, so that its cost is known before it is paid."""

FIGURES = ("hr@10", "ndcg@10", "coverage", "tail")
"""The metrics in the report."""


class Exploring:
    """Makes exploring lists of others.

    Args:
        ratings: the data.
        share: `recall.explore_share`.

    Attributes:
        share: the share that is measured.
    """

    def __init__(self, ratings: Ratings, share: float) -> None:
        self.share = share or SHARE
        self._table = ItemTable(ratings.schema, ratings.catalogue.items)

    def lists(self, known: Known, lists: Lists, rows: Collection[int]) -> Lists:
        """The lists of B moments, of which those at some rows explore.

        A moment of a user has a seed of its own, as the offset of the user's partition gives one to the API.
        """
        states = [
            replace(user, exploration=Exploration.of(self.share, user.user.userid, known.first + row))
            if row in rows
            else user
            for row, user in enumerate(known.users)
        ]
        size = lists.column.shape[1]
        columns = explored(states, known.counters, self._table, size)
        return arranged(lists, columns, states, self._table, size)[0]

    def report(self, exploring: Tally, plain: Tally) -> dict[str, Any]:
        """The figures of both, as `reelstream evaluate --json` prints them."""
        both = {"with": exploring.figures(), "without": plain.figures()}
        return {"share": self.share, **{name: {each: of[each] for each in FIGURES} for name, of in both.items()}}
