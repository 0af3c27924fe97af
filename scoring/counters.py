"""Item counters as columns, by ascending itemid: one state for all users of a batch, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from features.schema import Ints
from scoring.order import Scores
from scoring.popularity import popularity

FEW = 20
"""An item with fewer events than this has few: hardly anything but its attributes tells of it."""


@dataclass(frozen=True)
class Counters:
    """The counters of items that the ranker reads, which events change.

    Attributes:
        n, likes: events and positive ones, INT64 [items]; or [B, items] where each user's list is of another moment.
    """

    n: Ints
    likes: Ints

    def at(self, row: Ints, column: Ints) -> tuple[Ints, Ints]:
        """(events, positive ones) of N items, each for the user at `row`; all INT64 [N]."""
        if self.n.ndim == 1:
            return self.n[column], self.likes[column]
        return self.n[row, column], self.likes[row, column]


@dataclass(frozen=True)
class RecentCounters(Counters):
    """The same with what popularity follows from; a snapshot, not to be changed.

    Attributes:
        recent_likes: positive events of the last weeks, of the shape of `n`.
        last_ts: time of the latest event in unix seconds, 0 without events; of the shape of `n`.
        half_life_days: half-life of recent popularity, in days of event time.
    """

    recent_likes: Ints
    last_ts: Ints
    half_life_days: float

    @cached_property
    def popularity(self) -> Scores:
        """Popularity now, FP64 of the shape of `n`."""
        return popularity(self.recent_likes, self.likes, self.last_ts, self.half_life_days)

    def rows(self, rows: Ints) -> RecentCounters:
        """The counters of some of B moments, INT64 [B']."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    @classmethod
    def stack(cls, counters: Sequence[RecentCounters]) -> RecentCounters:
        """The counters of B moments, [items] each, as [B, items]."""
        columns = {name: np.stack([getattr(each, name) for each in counters]) for name in COLUMNS}
        return cls(**columns, half_life_days=counters[0].half_life_days)


COLUMNS = ("n", "likes", "recent_likes", "last_ts")
"""The columns of `RecentCounters`, by the names that `features.ItemCounter` and item rows have for them."""
