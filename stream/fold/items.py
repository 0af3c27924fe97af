"""The publication of item counters: sums over the shards become Feast rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from features import Item, item_row, merge
from stores import Profiles, Published
from stores.feast.feature_store import Features


def publish_items(
    profiles: Profiles,
    published: Published,
    features: Features,
    items: Mapping[int, Item],
    damaged: Callable[[str, int], None],
) -> int:
    """Publish the rows of all items whose counters changed since the last time.

    Only the worker that holds partition 0 does it, so that an item's row has one writer. An item stays marked until
    its row is written: a crash in between means that it is written again.

    Args:
        damaged: told of items whose counters cannot be read.

    Returns:
        Items published.

    Raises:
        Unreachable: if a store does not answer; what was not published is published the next time.
    """
    dirty = profiles.take_dirty()
    if not dirty:
        return 0
    partials = profiles.counters(dirty)
    readable = [itemid for itemid in dirty if itemid in partials and itemid in items]
    if left := sorted({*dirty} - {*readable}):
        damaged(f"the stored counters of item {left[0]} cannot be read, so that its row stays as it is", len(left))
    features.write_items((itemid, item_row(merge(partials[itemid]), items[itemid])) for itemid in readable)
    published.tell_items(readable)
    profiles.published()
    return len(readable)
