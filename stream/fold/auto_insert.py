"""`catalogue.auto_insert`: an item that events wait for is put into the catalogue, without attributes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from features.ids import Id, ascending
from features.schema import Schema
from settings import Settings
from stores import Generations, StateStores
from stores.kafka.item_changes import ItemChanges
from stores.redis.shard_catalogue import waiting_items

log = logging.getLogger("reelstream.stream")

FIRST_VERSION = 1
"""Version of the change: any other one of the item is above it."""

AGAIN_S = 30.0
"""Seconds after which the change of an item that events still wait for is appended again."""

TOGETHER = 100
"""Items whose changes are appended together."""


class AutoInsert:
    """Appends a change for each item that events wait for, as anyone could: so state stays a function of the log.

    Args:
        settings: all settings.
        clock: gives seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._appended: dict[Id, float] = {}
        self._changes: tuple[Schema, ItemChanges] | None = None

    def insert(self, state: StateStores, schema: Schema) -> int:
        """Append a change for each item that waits; returns how many were appended now.

        Raises:
            StoreError: if Kafka refuses one for good.
            Unreachable: if a store does not answer.
        """
        now, waiting = self._clock(), waiting_items(state.profiles)
        self._appended = {
            itemid: at for itemid, at in self._appended.items() if itemid in waiting and now - at < AGAIN_S
        }
        new = ascending(waiting - self._appended.keys())
        if not new:
            return 0
        live, refused = Generations(state.profiles.client).followed()
        if refused:
            return 0  # partitions are being added
        partitions = live.append_over(self._settings.kafka.partitions)
        for start in range(0, len(new), TOGETHER):
            some = new[start : start + TOGETHER]
            changes = [schema.events.item_change(itemid, FIRST_VERSION, {}) for itemid in some]
            self._sender(schema).append(changes, partitions)
            self._appended |= dict.fromkeys(some, now)
        log.info("put %d items into the catalogue that events named, from item %s on", len(new), new[0])
        return len(new)

    def _sender(self, schema: Schema) -> ItemChanges:
        if self._changes is None or self._changes[0] != schema:
            if self._changes is not None:
                self._changes[1].close()
            self._changes = schema, ItemChanges(self._settings.kafka, schema.events)
        return self._changes[1]
