"""The latest items: those whose first event is the latest, as far as their counters tell.

Counters keep the events of an item by week, for the last weeks up to its latest event. Where these are all of its
events, the week of the first one is known. Any other item is older, and comes after those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from features import Id, ItemCounter
from features.columns import ItemTable
from features.counters import WEEK, merge
from scoring import RecentCounters
from scoring.restriction import Restriction
from stores import Profiles

READ = 500
"""Items whose counters are read at once."""

MOST = 2000
"""Most items that are looked at, those with the latest events."""

FirstEvents = Callable[[Sequence[Id]], Mapping[Id, int] | None]
"""Gives the first events of some items, as `first_events`; None where Redis does not answer."""


def latest(
    table: ItemTable, counters: RecentCounters, size: int, restriction: Restriction, first_events: FirstEvents
) -> list[tuple[int, float]]:
    """The latest of the items that have events and meet some conditions.

    Args:
        table: the catalogue.
        counters: of the items.
        size: longest list.
        restriction: the conditions.
        first_events: gives the weeks of first events.

    Returns:
        (column, score), best first. The score is the beginning of the week of the first event in unix seconds, 0 where
        it is not known; items of the same score are in the order of their latest events.
    """
    column = np.flatnonzero(restriction.mask(table) & (counters.n > 0))
    column = column[np.lexsort((column, -counters.last_ts[column]))]
    first = np.zeros(len(column), dtype=np.int64)
    for start in range(0, min(len(column), MOST), READ):
        # No item further on has its first event in a later week than its latest one.
        if np.count_nonzero(first[:start] >= counters.last_ts[column[start]] // WEEK * WEEK) >= size:
            break
        part = slice(start, min(start + READ, MOST))
        itemids = [table.itemids[each] for each in column[part].tolist()]
        found = first_events(itemids)
        if found is None:
            break
        first[part] = [found.get(itemid, 0) for itemid in itemids]
    order = np.argsort(-first, kind="stable")[:size]
    return list(zip(column[order].tolist(), first[order].astype(float).tolist(), strict=True))


def first_events(profiles: Profiles, itemids: Sequence[Id]) -> dict[Id, int]:
    """The beginning of the week of the first event of each item, in unix seconds, where it is known.

    Raises:
        Unreachable: if Redis does not answer.
    """
    found = {itemid: first_week(merge(partials)) for itemid, partials in profiles.counters(itemids).items()}
    return {itemid: week * WEEK for itemid, week in found.items() if week is not None}


def first_week(counter: ItemCounter) -> int | None:
    """The week of an item's first event; None where not all of its events are in the weeks that are kept.

    >>> first_week(ItemCounter(n=3, weeks={7: [1, 0], 5: [2, 1]})), first_week(ItemCounter(n=4, weeks={7: [3, 3]}))
    (5, None)
    """
    return min(counter.weeks) if counter.weeks and counter.recent_n == counter.n else None
