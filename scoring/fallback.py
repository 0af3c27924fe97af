"""The next best answer where something is missing.

| missing | instead |
|---|---|
| events of the user | the most popular items: `popular` |
| the user's feature row | the counts that follow from the profile: `UserState.of`, by the caller |
| the user vector | recall by terms alone, in recall's order: `unranked` |
| candidates | items that match the user's terms, then the most popular others: `from_memory` |
| the ranker's scores | recall's order: `unranked` |
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import numpy as np

from features.columns import ItemTable
from features.schema import Ints
from scoring.candidates import Candidates, Limits, Source, excluded
from scoring.counters import RecentCounters
from scoring.inputs import UserState
from scoring.order import NO_ITEM, Lists, Scores
from scoring.terms import preferences, term_scores, term_weights


class Fallback(StrEnum):
    """The reason why a list is not made from the user's own events."""

    UNKNOWN_USER = "unknown_user"
    EMPTY_HISTORY = "empty_history"
    PROFILE_UNAVAILABLE = "profile_unavailable"


def popular(exclude: Sequence[Collection[int]], popularity: Scores, table: ItemTable, size: int) -> Lists:
    """The most popular items for B users, each without what is excluded; `popularity` is [items] or [B, items]."""
    return _best_of(popularity, excluded(exclude, table), len(exclude), size)


def from_memory(states: Sequence[UserState], counters: RecentCounters, table: ItemTable, limits: Limits) -> Candidates:
    """Candidates without Elasticsearch: the best matches of the users' terms, then the most popular other items."""
    row, column = excluded([state.exclude for state in states], table)
    weights = term_weights([preferences(state.recent, table.items.get) for state in states])
    scores = term_scores(weights, table.terms, counters.popularity)
    scores[row, column] = 0.0
    by_terms = Lists.best(scores, limits.term_k, above=0.0)
    matched, place = np.nonzero(by_terms.column != NO_ITEM)
    taken = np.concatenate([row, matched]), np.concatenate([column, by_terms.column[matched, place]])
    others = _best_of(counters.popularity, taken, len(states), limits.vector_k)
    found = {Source.TERMS: by_terms, Source.POPULAR: others}
    columns = np.concatenate([lists.column for lists in found.values()], axis=1)
    sources = {
        name: np.concatenate(
            [lists.score if name == own else np.full_like(lists.score, np.nan) for own, lists in found.items()], axis=1
        )
        for name in found
    }
    together = np.argsort(columns == NO_ITEM, axis=1, kind="stable")
    return Candidates(
        np.take_along_axis(columns, together, axis=1),
        {name: np.take_along_axis(score, together, axis=1) for name, score in sources.items()},
    )


def unranked(candidates: Candidates) -> Scores:
    """Scores that keep recall's order, from 0 for a user's first candidate to -1 for the last; FP32 [B, K]."""
    place = np.arange(candidates.column.shape[1])
    score = place / -np.maximum(candidates.length - 1, 1)[:, None]
    return np.where(candidates.column == NO_ITEM, -np.inf, score).astype(np.float32)


def _best_of(popularity: Scores, seen: tuple[Ints, Ints], rows: int, size: int) -> Lists:
    score = np.broadcast_to(popularity, (rows, popularity.shape[-1])).copy()
    score[seen] = -np.inf
    return Lists.best(score, size)
