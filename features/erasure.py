"""The erasure of users: what is left of the counters of items is what the other users' events say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from features.counters import ItemCounter, count_all, subtract
from features.dataset.codes import Codes
from features.ids import Id
from features.seen import Rated

OtherEvents = Callable[[Set[Id]], Mapping[Id, Iterable[Rated]]]
"""Takes items; gives the latest events of each type that the shard's other users have with each of them."""


def take_out(
    codes: Codes, events: Mapping[Id, Sequence[Rated]], counters: Mapping[Id, ItemCounter], others: OtherEvents
) -> dict[Id, ItemCounter]:
    """Take the events of users who are erased out of the counters of a shard, which are changed in place.

    Where such an event is the latest of an item, counts that were too old to be kept come back, so that the item is
    counted again from the events of the others. That is rare, and costs less than to keep them all.

    Args:
        codes: the codes of events.
        events: all that the seen filters of these users hold, by item.
        counters: the shard's counters of these items; one that is missing is counted again.
        others: gives the events of the other users.

    Returns:
        The counters of these items; one without an event has all 0, and is not to be kept.
    """
    changed, latest = dict[Id, ItemCounter](), set[Id]()
    for itemid, erased in events.items():
        counter = counters.get(itemid)
        if counter is not None and max(ts for ts, _ in erased) < counter.last_ts:
            for rated in erased:
                subtract(codes, counter, rated)
            changed[itemid] = counter
        else:
            latest.add(itemid)
    left = others(latest) if latest else {}
    return changed | {itemid: count_all(codes, left.get(itemid, ())) for itemid in sorted(latest, key=str)}
