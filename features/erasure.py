"""The erasure of users: what is left of the counters of items is what the other users' ratings say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from features.counters import ItemCounter, count_all, subtract
from features.profile import Rated

OtherRatings = Callable[[Set[int]], Mapping[int, Iterable[Rated]]]
"""Takes items; gives the ratings that the shard's other users have given each of them."""


def take_out(
    ratings: Mapping[int, Sequence[Rated]], counters: Mapping[int, ItemCounter], others: OtherRatings
) -> dict[int, ItemCounter]:
    """Take the ratings of users who are erased out of the counters of a shard, which are changed in place.

    Where such a rating is the latest of an item, counts that were too old to be kept come back, so that the item is
    counted again from the ratings of the others. That is rare, and costs less than to keep them all.

    Args:
        ratings: all ratings of these users, by item.
        counters: the shard's counters of these items; one that is missing is counted again.
        others: gives the ratings of the other users.

    Returns:
        The counters of these items; one without a rating has all 0, and is not to be kept.
    """
    changed, latest = dict[int, ItemCounter](), set[int]()
    for itemid, erased in ratings.items():
        counter = counters.get(itemid)
        if counter is not None and max(ts for ts, _ in erased) < counter.last_ts:
            for rated in erased:
                subtract(counter, rated)
            changed[itemid] = counter
        else:
            latest.add(itemid)
    left = others(latest) if latest else {}
    return changed | {itemid: count_all(left.get(itemid, ())) for itemid in sorted(latest)}
