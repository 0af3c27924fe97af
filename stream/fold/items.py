"""The publication of items: sums of counters become Feast rows, and changed items documents of the index."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from features.catalogue import Item
from features.counters import merge
from features.ids import Id
from features.layer import Layer
from features.rows import item_row
from features.schema import Schema
from settings import Settings
from stores import StateStores, StoreError
from stores.feast.feature_rows import FeatureRows
from stores.redis.publication_clock import PublicationClock
from stores.redis.shard_catalogue import changes, read_changed
from stores.redis.unpublished_items import UnpublishedItems
from stream.fold.auto_insert import AutoInsert
from stream.fold.changed_documents import ChangedDocuments
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import STORED_VALUES

log = logging.getLogger("reelstream.stream")

LOOK_S = 0.1
"""Seconds between two looks for changed items, which do not wait for the next publication of counters."""

CHANGES_EVERY_S = 0.5
"""Least seconds between two publications for the sake of changed items: each has the index refreshed, and the API read
what was published."""

TOGETHER = 100
"""Most items whose rows are written at once: events that come in meanwhile wait for the interpreter."""

REST = 9.0
"""Least pause after such items while events come in, in times that they took: a worker that catches up changes nearly
all items each second, and would spend a fifth of its time on their rows."""

EARLIER_AFTER_S = 5.0
"""Seconds after the start of a worker in which it leaves documents of earlier changes alone: most likely all are there,
and new changes have waited for it."""


class ItemPublisher:
    """Publishes the items whose counters or attributes changed.

    Only the worker that holds partition 0 does it, so that an item's row has one writer. An item stays marked until
    its row and its document are written: a crash in between means that they are written again.

    Args:
        settings: all settings.
        stores: the state, and who is told of new rows.
        health: failures, and what the worker waits for.
        clock: gives seconds.
    """

    def __init__(
        self, settings: Settings, stores: RedisStores, health: Health, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._stores, self._health, self._clock = settings, stores, health, clock
        self._features: tuple[Schema, str, FeatureRows] | None = None
        self._documents = ChangedDocuments(settings)
        self._auto_insert = AutoInsert(settings) if settings.catalogue.auto_insert else None
        self._changes_due_at = 0.0
        self._due_at, self._earlier_due_at = clock() + settings.stream.items_every_s, clock() + EARLIER_AFTER_S
        self._rests_until = 0.0
        self._taken: tuple[StateStores, dict[Id, None]] | None = None
        self._changes: Sequence[int] = ()
        self._waits_for: str | None = None

    def publish(self, schema: Schema, items: Mapping[Id, Item], busy: Callable[[], bool] = lambda: False) -> None:
        """Publish what changed since the last time, however long Redis is away.

        Counters are published every `stream.items_every_s` seconds, and while events come in, a few items at a time, in
        at most a tenth of the time. Changed items do not wait for them: they are published first, as soon as they are
        found, though at most every half second. A failure is reported: items are marked until they are published, and
        the fold need not end for that.

        Args:
            schema: of the data set.
            items: the catalogue as it was published.
            busy: tells whether events come in.
        """
        try:
            published = self._health.retrier("publishing items", lambda: self._publish(schema, items, busy))
            self._health.metrics.items.inc(published)
        except Exception as error:
            self._health.troubles.report(STORED_VALUES, f"items are not published: {error!r}", error=error)

    def publish_once(self, schema: Schema, items: Mapping[Id, Item]) -> int:
        """Publish the rows of a generation of the state that need not be live; returns how many.

        Args:
            schema: of the data set.
            items: the catalogue as it was published.

        Raises:
            Unreachable: if a store does not answer; what was not published is published the next time.
        """
        state = self._stores.state
        unpublished = UnpublishedItems(state.profiles)
        if not (dirty := unpublished.take()):
            return 0
        written = self._write_rows(state, schema, read_changed(state.profiles, items, dirty), dirty)
        unpublished.published(dirty)
        return len(written)

    def _publish(self, schema: Schema, items: Mapping[Id, Item], busy: Callable[[], bool]) -> int:
        """Publish what is due, of the generation that is live; returns how many rows."""
        state = self._stores.state
        found, now = changes(state.profiles), self._clock()
        begins = self._taken is None and now >= self._due_at
        written = 0
        # Noted before anything is tried: what cannot be written now is tried again when counters are.
        if found != self._changes and now >= self._changes_due_at:
            self._changes = found
            written += self._publish_changed(state, schema, items)
        if begins:
            self._due_at = now + self._settings.stream.items_every_s
        if begins or self._taken is not None:
            written += self._publish_counters(state, schema, items, busy)
        if self._documents.waits and now >= self._earlier_due_at and (begins or self._waits_for is None):
            self._try(lambda: self._documents.write_earlier(state, schema, items))
        return written

    def _publish_changed(self, state: StateStores, schema: Schema, items: Mapping[Id, Item]) -> int:
        """Publish the marked items whose attributes changed; returns how many rows."""
        unpublished = UnpublishedItems(state.profiles)
        marked = unpublished.take()
        layer = read_changed(state.profiles, items, marked)
        chosen = self._documents.pending(layer, marked)
        if chosen:
            self._changes_due_at = self._clock() + CHANGES_EVERY_S
        written, left = self._publish_items(state, schema, layer, chosen)
        unpublished.published({*chosen} - left)
        if self._taken is not None:
            for itemid in {*chosen} - left:
                self._taken[1].pop(itemid, None)
        self._insert(state, schema)
        return written

    def _publish_counters(
        self, state: StateStores, schema: Schema, items: Mapping[Id, Item], busy: Callable[[], bool]
    ) -> int:
        """Publish all marked items, or some, while events come in, or where an item changes; returns how many rows."""
        unpublished = UnpublishedItems(state.profiles)
        if self._taken is None or self._taken[0] is not state:
            self._taken = state, dict.fromkeys(unpublished.take())
        _, waiting = self._taken
        written = 0
        while waiting and (self._clock() >= self._rests_until or not busy()):
            some, at = list(islice(waiting, TOGETHER)), self._clock()
            # After an error they are taken again: they are still marked.
            self._taken = None
            rows, left = self._publish_items(state, schema, read_changed(state.profiles, items, some), some)
            unpublished.published({*some} - left)
            self._taken = state, waiting
            written += rows
            for itemid in some:
                del waiting[itemid]
            ended = self._clock()
            self._rests_until = ended + REST * (ended - at)
            if changes(state.profiles) != self._changes:
                break
        if not waiting:
            self._taken = None
            self._insert(state, schema)
        return written

    def _publish_items(
        self, state: StateStores, schema: Schema, layer: Layer, itemids: Sequence[Id]
    ) -> tuple[int, set[Id]]:
        """Publish some items, which the layer has: how many rows were written, and the items that are to be again."""
        written = self._write_rows(state, schema, layer, itemids) if itemids else []
        left = set[Id]()
        if not self._try(lambda: self._documents.write(state, schema, layer, itemids)):
            left = {*layer.changed}
        if itemids:
            state.published.tell_items(itemids)
        return len(written), left

    def _write_rows(self, state: StateStores, schema: Schema, layer: Layer, dirty: Sequence[Id]) -> list[Id]:
        """Write the rows of some items, at least one, that the layer has; returns these."""
        profiles = state.profiles
        published = PublicationClock(profiles).advance()
        partials = profiles.counters(dirty)
        readable = [itemid for itemid in dirty if itemid in partials and itemid in layer]
        # An item that was withdrawn before anyone knew it has no row.
        unknown = {itemid for itemid in dirty if itemid not in layer and itemid in layer.changed}
        if left := [itemid for itemid in dirty if itemid not in {*readable, *unknown}]:
            message = f"the stored counters of item {left[0]} cannot be read, so that its row stays as it is"
            self._health.troubles.report(STORED_VALUES, message, len(left))
        rows = ((itemid, item_row(schema, merge(partials[itemid]), layer[itemid])) for itemid in readable)
        self._features_of(schema, state.generation).write_items(rows, published)
        return readable

    def _try(self, write: Callable[[], list[Any]]) -> bool:
        """Write documents of changed items; False if they are to be written later.

        Elasticsearch may be away for long, and rows of counters do not wait for it.
        """
        try:
            refused = write()
        except StoreError as error:
            if self._waits_for != str(error):
                log.warning("documents of changed items wait: %s", error)
            self._waits_for = str(error)
            return False
        if refused:
            message = f"Elasticsearch refuses documents of changed items: {refused[0]}"
            self._health.troubles.report(STORED_VALUES, message, len(refused))
        self._waits_for = None
        return True

    def _insert(self, state: StateStores, schema: Schema) -> None:
        if self._auto_insert is None:
            return
        try:
            self._auto_insert.insert(state, schema)
        except StoreError as error:
            log.warning("items that events wait for are not put into the catalogue yet: %s", error)

    def _features_of(self, schema: Schema, generation: str) -> FeatureRows:
        """The feature store, of its own: it is not for use by several threads at once."""
        if self._features is None or self._features[:2] != (schema, generation):
            self._features = schema, generation, FeatureRows(self._settings, schema, generation)
        return self._features[2]
