"""Lists in which some positions go to items with few events, which nothing else would show (`scoring.exploration`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.columns import ItemTable
from features.schema import Ints
from scoring.candidates import Candidates, Source, barred_of
from scoring.counters import FEW, Counters
from scoring.diversity import Kinds, diverse, first
from scoring.inputs import UserState
from scoring.order import NO_ITEM, Lists, padded
from scoring.restriction import Restriction

NOTHING: Ints = np.empty((0, 0), dtype=np.int64)
"""No explored items."""


def explored(states: Sequence[UserState], counters: Counters, table: ItemTable, size: int) -> Ints:
    """The items that are explored in the lists of B users, of those with fewer than FEW events.

    Args:
        states: the users; one without exploration gets none.
        counters: of the items, [items] or [B, items].
        table: the catalogue.
        size: longest list.

    Returns:
        Columns INT64 [B, K], in the order of their choice, NO_ITEM behind the last; K is 0 where nobody explores.
    """
    chosen = [np.empty(0, dtype=np.int64)] * len(states)
    for row, state in enumerate(states):
        if state.exploration is not None and (number := state.exploration.number(size)):
            few = (counters.n if counters.n.ndim == 1 else counters.n[row]) < FEW
            few[barred_of([state], table)[1]] = False
            chosen[row] = state.exploration.items(np.flatnonzero(few), number)
    width = max(map(len, chosen), default=0)
    if not width:
        return np.empty((len(states), 0), dtype=np.int64)
    return np.concatenate([padded(each[None], width, NO_ITEM) for each in chosen])


def with_explored(candidates: Candidates, columns: Ints, counters: Counters) -> Candidates:
    """Candidates with the explored items of each user, INT64 [B, K], behind them; one that is recalled anyway stays.

    The score of the source is the number of events that each has.
    """
    if not columns.shape[1]:
        return candidates
    parts = [
        np.concatenate([known[known != NO_ITEM], added[(added != NO_ITEM) & ~np.isin(added, known)]])
        for known, added in zip(candidates.column, columns, strict=True)
    ]
    width = max(map(len, parts))
    column = np.concatenate([padded(part[None], width, NO_ITEM) for part in parts])
    n = counters.n[column] if counters.n.ndim == 1 else np.take_along_axis(counters.n, column, axis=1)
    chosen = np.stack([np.isin(row, added) for row, added in zip(column, columns, strict=True)]) & (column != NO_ITEM)
    sources = {name: padded(scores[:, :width], width, np.nan) for name, scores in candidates.sources.items()}
    return Candidates(column, {**sources, Source.EXPLORATION: np.where(chosen, n, np.nan)})


def arranged(
    lists: Lists,
    columns: Ints,
    states: Sequence[UserState],
    table: ItemTable,
    size: int | None = None,
    recalled: Ints | None = None,
) -> tuple[Lists, Ints]:
    """The first entries of B lists, as `diversity.first` gives them, with explored items at positions drawn by a seed.

    The other entries keep their order and the first position. An explored item has the score of the entry before it, so
    that a list stays ordered by its scores. Limits of a restriction count explored items before the others; where that
    would make a list shorter, it does not explore.

    Args:
        lists: the lists.
        columns: the explored items, INT64 [B, K], as `explored` gives them.
        states: the users.
        table: the catalogue.
        size, recalled: as `diversity.first` takes them.

    Returns:
        As `diversity.first`; the place of an item that the list given lacks is 0.
    """
    restrictions = [state.restriction for state in states]
    shown, place = first(lists, restrictions, table, size, recalled)
    if not columns.shape[1]:
        return shown, place
    longest = lists.column.shape[1] + columns.shape[1]
    width = longest if size is None else min(size, longest)
    column = padded(shown.column, width, NO_ITEM)
    score = padded(shown.score, width, -np.inf)
    place = padded(place, width, 0)
    for row, state in enumerate(states):
        wanted = columns[row][columns[row] != NO_ITEM]
        if state.exploration is None or not len(wanted):
            continue
        entries = lists.column[row][lists.column[row] != NO_ITEM]
        ranked, chosen = _kept(entries, wanted, state.restriction, table, width)
        end = len(ranked) + len(chosen)
        if not len(ranked) or end < np.count_nonzero(shown.column[row] != NO_ITEM):
            continue
        is_chosen = np.zeros(end, dtype=bool)
        is_chosen[state.exploration.positions(end, len(chosen))] = True
        column[row], score[row], place[row] = NO_ITEM, -np.inf, 0
        column[row, :end][is_chosen], column[row, :end][~is_chosen] = chosen, entries[ranked]
        score[row, :end] = lists.score[row, ranked][np.cumsum(~is_chosen) - 1]
        place[row, :end][is_chosen] = [np.flatnonzero(entries == each).sum() for each in chosen]
        place[row, :end][~is_chosen] = ranked
    return Lists(column, score), place


def _kept(entries: Ints, wanted: Ints, restriction: Restriction, table: ItemTable, size: int) -> tuple[Ints, Ints]:
    """(places of the entries of a list that stay, explored items that come to it), at most `size` in all."""
    others = np.flatnonzero(~np.isin(entries, wanted))
    both = np.concatenate([entries[others[:1]], wanted, entries[others[1:]]])
    taken = np.arange(min(size, len(both)))
    if restriction.at_most:
        taken = np.array(diverse(Kinds.of(restriction.at_most, table, both), size), dtype=np.int64)
    behind = len(others[:1])
    is_wanted = (taken >= behind) & (taken < behind + len(wanted))
    ranked = taken[~is_wanted]
    return others[np.where(ranked < behind, ranked, ranked - len(wanted))], both[taken[is_wanted]]
