"""The publication of item counters: sums over the shards become Feast rows."""

from __future__ import annotations

from collections.abc import Mapping

from features import Item, item_row, merge
from stores import Profiles, Published
from stores.feature_store import Features


def publish_items(profiles: Profiles, published: Published, features: Features, items: Mapping[int, Item]) -> int:
    """Publish the rows of all items whose counters changed since the last time.

    Only the worker that holds partition 0 does it, so that an item's row has one writer. An item stays marked until
    its row is written: a crash in between means that it is written again.

    Returns:
        Items published.

    Raises:
        Unreachable: if a store does not answer; what was not published is published the next time.
    """
    dirty = profiles.take_dirty()
    if dirty:
        partials = profiles.counters(dirty)
        features.write_items((itemid, item_row(merge(partials[itemid]), items[itemid])) for itemid in dirty)
        published.tell_items(dirty)
        profiles.published()
    return len(dirty)
