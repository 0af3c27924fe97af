"""The publication of item counters: sums over the shards become Feast rows."""

from __future__ import annotations

from collections.abc import Mapping

from features import Item, item_row, merge
from settings import Settings
from stores.feast.feature_store import Features
from stores.redis.publication_clock import PublicationClock
from stores.redis.unpublished_items import UnpublishedItems
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import STORED_VALUES


class ItemPublisher:
    """Publishes the rows of items whose counters changed.

    Only the worker that holds partition 0 does it, so that an item's row has one writer. An item stays marked until
    its row is written: a crash in between means that it is written again.

    Args:
        settings: all settings.
        stores: the state, and who is told of new rows.
        health: failures, and what the worker waits for.
    """

    def __init__(self, settings: Settings, stores: RedisStores, health: Health) -> None:
        self._settings, self._stores, self._health = settings, stores, health
        self._features: tuple[str, Features] | None = None

    def publish(self, items: Mapping[int, Item]) -> None:
        """Publish all rows that changed since the last time, however long a store is away.

        A failure is reported: items are marked until they are published, and the fold need not end for that.
        """
        try:
            published = self._health.retrier("publishing item counters", lambda: self.publish_once(items))
            self._health.metrics.items.inc(published)
        except Exception as error:
            self._health.troubles.report(STORED_VALUES, f"items are not published: {error!r}", error=error)

    def _features_of(self, generation: str) -> Features:
        """The feature store, of its own: it is not for use by several threads at once."""
        if self._features is None or self._features[0] != generation:
            self._features = generation, Features(self._settings, generation)
        return self._features[1]

    def publish_once(self, items: Mapping[int, Item]) -> int:
        """Publish once; returns how many items.

        Raises:
            Unreachable: if a store does not answer; what was not published is published the next time.
        """
        state = self._stores.state
        profiles = state.profiles
        unpublished = UnpublishedItems(profiles)
        dirty = unpublished.take()
        if not dirty:
            return 0
        published = PublicationClock(profiles).advance()
        partials = profiles.counters(dirty)
        readable = [itemid for itemid in dirty if itemid in partials and itemid in items]
        if left := sorted({*dirty} - {*readable}):
            message = f"the stored counters of item {left[0]} cannot be read, so that its row stays as it is"
            self._health.troubles.report(STORED_VALUES, message, len(left))
        features = self._features_of(state.generation)
        rows = ((itemid, item_row(merge(partials[itemid]), items[itemid])) for itemid in readable)
        features.write_items(rows, published)
        state.published.tell_items(readable)
        unpublished.published()
        return len(readable)
