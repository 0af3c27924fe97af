"""The sources of candidates where vectors are weak: for users with few events, and for items with few events.

Each source makes as many candidates as the pipeline, which the ranker orders. Users with few events are those of the
data; as a data set may have none, some of the others are cut: their state is folded from their last events alone, their
id and attributes are withheld, and what is hidden from them stays hidden, as in `offline.evaluate.cold`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from offline import ranking_metrics
from offline.data.readers import Ints
from offline.evaluate.lists import SystemLists
from offline.evaluate.state import Known
from scoring import MISSED, Lists
from scoring.counters import FEW
from scoring.fallback import popular
from scoring.order import Bools

FEW_EVENTS = 3
"""A user with at most so many events has few: after ten, lists are at their best (docs/evaluation.md)."""

USERS, CUT_USERS, ITEMS = "users", "cut_users", "items"
"""The groups: users with 1 to FEW_EVENTS events, users who are cut to so many, items with fewer than FEW events."""

CUT = 5_000
"""Most lists of users who are cut: the standard error of a share of them is 0.007 at most, and more take long."""

VECTORS, TERMS, BOTH, POPULARITY = "vectors", "terms", "both", "popularity"
"""The sources; of both, a third are by terms, or as many as are served."""

Members = tuple[Ints, Ints]
"""(row of each target's moment, number of the target), INT64 [N] each."""


def cut(targets: int, seed: int) -> Ints:
    """Draw the lists of CUT_USERS: the events that are left of the user, 1 to FEW_EVENTS; 0 of one who is not cut.

    Returns:
        INT64 [targets], of which CUT are above 0, or all if there are fewer.
    """
    rng = np.random.default_rng(seed)
    left = np.zeros(targets, dtype=np.int64)
    chosen = rng.choice(targets, min(CUT, targets), replace=False)
    left[chosen] = rng.integers(1, FEW_EVENTS + 1, len(chosen))
    return left


def members_of(known: Known, live: Members, is_cut: Members, wanted: Ints) -> dict[str, Members]:
    """The members of each group among the targets of some moments.

    Args:
        known: the moments.
        live: the targets whose list is made from all that is known of the user.
        is_cut: those whose user is cut; one of whom nothing was known before belongs to no group.
        wanted: column of each target's item, INT64 [targets].
    """
    row, target = live
    events, n = known.events, known.counters.n
    return {
        USERS: _some(live, (events[row] >= 1) & (events[row] <= FEW_EVENTS)),
        CUT_USERS: _some(is_cut, events[is_cut[0]] >= 1),
        ITEMS: _some(live, n[row, wanted[target]] < FEW),
    }


def _some(members: Members, chosen: Bools) -> Members:
    return members[0][chosen], members[1][chosen]


class Groups:
    """Collects the ranks of the wanted items in the lists of each source, by group.

    Args:
        lists: the lists of the run.
        wanted: column of each target's item, INT64 [targets].

    Attributes:
        members: by group, whether a target belongs to it, bool [targets].
    """

    def __init__(self, lists: SystemLists, wanted: Ints) -> None:
        self._wanted, self._table, self._length = wanted, lists.table, lists.length
        self._listers = {
            VECTORS: lists.lister(lists.vectors_alone),
            TERMS: lists.lister(by_vector=False),
            BOTH: lists.lister(lists.with_terms),
        }
        self.members = {name: np.zeros(len(wanted), dtype=np.bool_) for name in (USERS, CUT_USERS, ITEMS)}
        self._ranks = {
            (name, source, order): np.full(len(wanted), MISSED, dtype=np.int64)
            for name in self.members
            for source in (*self._listers, POPULARITY)
            for order in ("recall", "list")
        }

    def add(self, known: Known, groups: Mapping[str, Members]) -> None:
        """Take the lists of the members of each group at some moments."""
        rows = np.unique(np.concatenate([row for row, _ in groups.values()]))
        if not len(rows):
            return
        made = self._made(known, rows)
        for name, (row, target) in groups.items():
            self.members[name][target] = True
            for (source, order), lists in made.items():
                place = np.searchsorted(rows, row)
                self._ranks[name, source, order][target] = lists.rows(place).rank_of(self._wanted[target])

    def _made(self, known: Known, rows: Ints) -> dict[tuple[str, str], Lists]:
        """The lists at some rows: by source, the candidates in recall's order, and the list that is served."""
        users, counters = [known.users[row] for row in rows.tolist()], known.counters.rows(rows)
        made = {}
        for source, lister in self._listers.items():
            recommended = lister.recommend(users, counters, self._length)
            column = recommended.candidates.column
            made[source, "recall"] = Lists(column, np.zeros(column.shape))
            made[source, "list"] = recommended.lists
        most = popular([user.exclude for user in users], counters.popularity, self._table, self._length)
        return {**made, (POPULARITY, "recall"): most, (POPULARITY, "list"): most}

    def ranks(self, name: str, source: str, order: str) -> Ints:
        """Place of the wanted item in the lists of a source, INT64 [targets]; MISSED outside the group.

        Args:
            name: of the group.
            source: of the candidates.
            order: "recall" for recall's own, "list" for the ranker's.
        """
        return self._ranks[name, source, order]

    def report(self) -> dict[str, Any]:
        """The figures, as `reelstream evaluate --json` prints them.

        Returns:
            By group, `events` and by source `recall` with `hr@50`, `hr@200` and `all`, the share of lists whose
            candidates hold the item, and `list` with `hr@10`, `ndcg@10`, `hr@50` and `hr@200`; no sources where the
            group has no events.
        """
        return {name: self._figures(name, members) for name, members in self.members.items()}

    def _figures(self, name: str, members: Bools) -> dict[str, Any]:
        figures: dict[str, Any] = {"events": int(members.sum())}
        for source in (*self._listers, POPULARITY) if members.any() else ():
            recall, listed = (self.ranks(name, source, order)[members] for order in ("recall", "list"))
            both = {"recall": ranking_metrics.of_ranks(recall), "list": ranking_metrics.of_ranks(listed)}
            figures[source] = {
                "recall": {
                    **{each: both["recall"][each] for each in ("hr@50", "hr@200")},
                    "all": float(np.mean(recall != MISSED)),
                },
                "list": {each: both["list"][each] for each in ("hr@10", "ndcg@10", "hr@50", "hr@200")},
            }
        return figures
