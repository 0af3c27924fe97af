"""The erasure of a user: what is left of the counters of items is what the other users' ratings say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set

from features.counters import ItemCounter, count_all, subtract
from features.profile import Rated

OtherRatings = Callable[[Set[int]], Mapping[int, Iterable[Rated]]]
"""Takes items; gives the ratings that the shard's other users have given each of them."""


def take_out(
    seen: Mapping[int, Rated], counters: Mapping[int, ItemCounter], others: OtherRatings
) -> dict[int, ItemCounter]:
    """Take all ratings of a user out of the counters of a shard, which are changed in place.

    Where the user's rating is the latest of an item, counts that were too old to be kept come back, so that the item
    is counted again from the ratings of the others. That is rare, and costs less than to keep them all.

    Args:
        seen: the user's ratings by item.
        counters: the shard's counters of these items; one that is missing is counted again.
        others: gives the ratings of the other users.

    Returns:
        The counters of these items; one without a rating has all 0, and is not to be kept.
    """
    changed = {itemid: counters[itemid] for itemid, rated in seen.items() if _subtracted(counters.get(itemid), rated)}
    latest = seen.keys() - changed.keys()
    ratings = others(latest) if latest else {}
    return changed | {itemid: count_all(ratings.get(itemid, ())) for itemid in latest}


def _subtracted(counter: ItemCounter | None, rated: Rated) -> bool:
    return counter is not None and subtract(counter, rated)
