"""The next best answer where something is missing.

| missing | instead |
|---|---|
| events of the user | the most popular items: `popular` |
| the user's feature row | the counts that follow from the profile: `UserState.of`, by the caller |
| the user vector | recall by terms alone, in recall's order: `unranked` |
| candidates | items that match the user's terms, then the most popular others: `from_memory` |
| candidates for a full list, as it is restricted | the most popular others that complete it: `completed` |
| the ranker's scores | recall's order: `unranked` |
| the neighbours of an item | items of the same terms, then the most popular others: `alike` |
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import numpy as np

from features import Id
from features.columns import ItemTable
from features.schema import Ints
from scoring.candidates import Candidates, Source, barred, barred_of, joined, weights_of
from scoring.counters import RecentCounters
from scoring.diversity import Kinds, first, sparing
from scoring.inputs import UserState
from scoring.order import NO_ITEM, Lists, Scores, padded
from scoring.restriction import NO_RESTRICTION, Restriction
from scoring.terms import term_scores


class Fallback(StrEnum):
    """The reason why a list is not made from the user's own events."""

    UNKNOWN_USER = "unknown_user"
    EMPTY_HISTORY = "empty_history"
    PROFILE_UNAVAILABLE = "profile_unavailable"


def popular(
    exclude: Sequence[Collection[Id]],
    popularity: Scores,
    table: ItemTable,
    size: int,
    restrictions: Sequence[Restriction] | None = None,
) -> Lists:
    """The most popular items for B users.

    Args:
        exclude: ids that each of them must not get.
        popularity: of the items, [items] or [B, items].
        table: the catalogue.
        size: longest list.
        restrictions: what each list keeps to; None: nothing.
    """
    restrictions = restrictions or [NO_RESTRICTION] * len(exclude)
    limited = any(restriction.at_most for restriction in restrictions)
    lists = _best_of(popularity, barred(exclude, restrictions, table), len(exclude), len(table) if limited else size)
    return first(lists, restrictions, table, size)[0]


def from_memory(
    states: Sequence[UserState], counters: RecentCounters, table: ItemTable, by_terms_k: int, popular_k: int
) -> Candidates:
    """Candidates without Elasticsearch: the best matches of the users' terms, then the most popular other items.

    Args:
        states: B users.
        counters: of the items.
        table: the catalogue.
        by_terms_k, popular_k: how many of each.
    """
    row, column = barred_of(states, table)
    weights = weights_of(states, table)
    scores = term_scores(weights, table.terms, counters.popularity)
    scores[row, column] = 0.0
    by_terms = Lists.best(scores, by_terms_k, above=0.0)
    matched, place = np.nonzero(by_terms.column != NO_ITEM)
    taken = np.concatenate([row, matched]), np.concatenate([column, by_terms.column[matched, place]])
    others = _best_of(counters.popularity, taken, len(states), popular_k)
    return joined(
        [
            Candidates(by_terms.column, {Source.TERMS: by_terms.score}),
            Candidates(others.column, {Source.POPULAR: others.score}),
        ]
    )


def alike(itemid: Id, counters: RecentCounters, table: ItemTable, size: int, restriction: Restriction) -> Lists:
    """The items that are most like one by their terms, as a user who liked it alone would get them."""
    schema = table.schema
    item = table.items.get(itemid)
    weights = [dict.fromkeys(values, 1) for values in item.terms] if item is not None else []
    state = UserState(schema.user(0), exclude=[itemid], weights=weights, restriction=restriction)
    candidates = from_memory([state], counters, table, size, size)
    return Lists(candidates.column, unranked(candidates)).first(size)


def completed(
    candidates: Candidates, states: Sequence[UserState], counters: RecentCounters, table: ItemTable, size: int
) -> Candidates:
    """Candidates with those popular items that a list of `size` takes besides, where a user's list is restricted."""
    if not any(state.restriction for state in states):
        return candidates
    popularity = np.broadcast_to(counters.popularity, (len(states), len(table)))
    rows = zip(candidates.column, states, popularity, strict=True)
    added = [_missing(column[column != NO_ITEM], state, row, table, size) for column, state, row in rows]
    width = max(map(len, added))
    if not width:
        return candidates
    columns = np.concatenate([padded(column[None], width, NO_ITEM) for column in added])
    scores = np.where(columns == NO_ITEM, np.nan, np.take_along_axis(popularity, columns, axis=1))
    return joined([candidates, Candidates(columns, {Source.POPULAR: scores} if candidates.sources else {})])


def _missing(column: Ints, state: UserState, popularity: Scores, table: ItemTable, size: int) -> Ints:
    """The items that a user's list of `size` takes besides the candidates at some columns; INT64 [N]."""
    if not state.restriction:
        return column[:0]
    at_most = state.restriction.at_most
    if len(sparing(Kinds.of(at_most, table, column), size)) == size:
        return column[:0]
    barred_row, barred_column = barred_of([state], table)
    taken = np.append(barred_row, np.zeros_like(column)), np.append(barred_column, column)
    others = _best_of(popularity, taken, 1, len(table) if at_most else size).column[0]
    others = others[others != NO_ITEM]
    places = sparing(Kinds.of(at_most, table, np.concatenate([column, others])), size)
    missing: Ints = others[[place - len(column) for place in places if place >= len(column)]]
    return missing


def unranked(candidates: Candidates) -> Scores:
    """Scores that keep recall's order, from 0 for a user's first candidate to -1 for the last; FP32 [B, K]."""
    place = np.arange(candidates.column.shape[1])
    score = place / -np.maximum(candidates.length - 1, 1)[:, None]
    return np.where(candidates.column == NO_ITEM, -np.inf, score).astype(np.float32)


def _best_of(popularity: Scores, seen: tuple[Ints, Ints], rows: int, size: int) -> Lists:
    score = np.broadcast_to(popularity, (rows, popularity.shape[-1])).copy()
    score[seen] = -np.inf
    return Lists.best(score, size)
