"""A generation of the state with its items in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from api.data_set import DataSetApi
from api.items import LiveItems
from api.shard_items import WithdrawnItems
from features import Id, Item, Layer, Schema
from settings import Settings
from stores import NotPublished, Profiles, StateStores
from stores.errors import Unreadable
from stores.feast.feature_store import Features
from stores.redis.connection import Client
from stores.redis.earlier_profiles import EarlierProfiles
from stores.redis.earlier_state import EarlierState
from stores.redis.live import LiveRun
from stores.redis.shard_catalogue import read_changed, read_layers

log = logging.getLogger("reelstream.api")

UNPUBLISHED = "nothing is published yet; run `reelstream publish`"

ROWS, PARTS = 100, 1000
"""Rows read at once beside requests: as many, or this part of a large catalogue, as each makes new columns of it."""

AT_ONCE = 5000
"""Rows read at once while there are no requests."""

PAUSE_S = 0.02
"""Seconds between these beside requests."""

LOOKS = 100
"""Looks over which a full read is spread, or fewer where that makes less than ROWS of each."""


@dataclass(frozen=True)
class Content:
    """The content of a generation since its snapshot.

    Attributes:
        created: when the snapshot was written; another one may be of another data set.
        data_set: the data set.
        stores: the stores of the state.
        features: its feature rows, in Feast.
        items: its items.
        withdrawn: the withdrawn ones of each shard.
    """

    created: str
    data_set: DataSetApi
    stores: StateStores
    features: Features
    items: LiveItems
    withdrawn: WithdrawnItems


class OpenGeneration:
    """A generation of the state with its items in memory.

    Args:
        settings: all settings.
        name: of the generation.
        shards: that it has.
        client: Redis.
        data_set_of: gives the part of the API for a data set.
        stopping: set when the process ends.

    Attributes:
        shards: the same.
        profiles: its users, as this release reads them.
        earlier: its version, if that is not the declared one.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        shards: int,
        client: Client,
        data_set_of: Callable[[Schema], DataSetApi],
        stopping: threading.Event,
    ) -> None:
        self._settings, self._name, self._client, self._stopping = settings, name, client, stopping
        self._data_set_of = data_set_of
        self.shards = shards
        self.earlier: EarlierState | None = None
        self._state = self._stores()
        self.profiles: Profiles = self._state.profiles
        self._notice = "0-0"
        self._read_at = 0.0
        self._unread: list[Id] = []
        self._content: Content | None = None

    def run(self) -> LiveRun:
        """The run in use.

        Raises:
            NotPublished: if there is none.
            OtherVersion: if it is of another version.
            Unreachable: if Redis does not answer.
        """
        run = self._state.published.run()
        if run is None:
            raise NotPublished(UNPUBLISHED)
        return run

    def look(self, *, gently: bool = True) -> Content:
        """Read what changed since the last look.

        Args:
            gently: whether to leave time for requests meanwhile; where nothing can be answered yet, there are none.

        Raises:
            NotPublished: if the generation has no snapshot.
            OtherVersion: if its snapshot, schema or catalogue is of another version.
            Unreachable: if a store does not answer.
        """
        snapshot = self._state.published.snapshot()
        if snapshot is None:
            raise NotPublished(UNPUBLISHED)
        content = self._content
        if content is None or snapshot.created != content.created:
            content = self._opened(snapshot.created)
            self._read_at = 0.0
        earlier = content.stores.published.earlier_state()
        if earlier != self.earlier or content is not self._content:
            self.earlier = earlier
            self.profiles = EarlierProfiles(content.stores.profiles, earlier) if earlier else content.stores.profiles
        published = content.stores.published
        if not self._read_at:
            self._notice = published.last_notice()
            content = self._begin(content)
            self._read_rows(content, self._unread, gently=gently)
            self._unread, self._read_at = [], time.monotonic()
        else:
            notice, changed = published.changed_items(self._notice)
            if changed is None:
                self._read_at = 0.0
            else:
                if changed:
                    content = self._changed(content, partial(read_changed, itemids=changed))
                    self._read_rows(content, changed)
                content = self._read_some(content)
            # Only now, so that the next look reads what this one could not.
            self._notice = notice
        self._content = content
        return content

    def told(self) -> bool:
        """Return True if items changed since the last look.

        Raises:
            Unreachable: if Redis does not answer.
        """
        content = self._content
        return content is not None and content.stores.published.last_notice() != self._notice

    def _opened(self, created: str) -> Content:
        # Stores keep the schema that they have read.
        stores = self._stores()
        data_set = self._data_set_of(stores.published.schema())
        items = LiveItems(data_set.schema, stores.published.catalogue(), self._settings.recall.half_life_days)
        features = Features(self._settings, data_set.schema, self._name)
        return Content(created, data_set, stores, features, items, WithdrawnItems())

    def _stores(self) -> StateStores:
        return StateStores.of(self._settings, self._name, self._client, self.shards)

    @staticmethod
    def _changed(content: Content, read: Callable[[Profiles, Mapping[Id, Item]], Layer]) -> Content:
        """The content with the changes of items that are read; as it is where they cannot be understood."""
        try:
            layer = read(content.stores.profiles, content.items.layer.base)
        except Unreadable as error:
            log.warning("changes of items are left out: %s", error)
            return content
        items = content.items.changed(layer)
        return content if items is content.items else replace(content, items=items)

    def _begin(self, content: Content) -> Content:
        """Read every change; every row is to be read after that."""
        content.withdrawn.forget()
        content = self._changed(content, read_layers)
        self._unread = list(content.items.items)
        return content

    def _read_some(self, content: Content) -> Content:
        """Read a part of what is read now and then although nobody told of it, so that changes need not wait for it."""
        if not self._unread and time.monotonic() - self._read_at > self._settings.api.items_refresh_s:
            content = self._begin(content)
            self._read_at = time.monotonic()
        rows = max(ROWS, len(content.items.table) // LOOKS)
        self._read_rows(content, self._unread[:rows])
        self._unread = self._unread[rows:]
        return content

    def _read_rows(self, content: Content, itemids: Sequence[Id], *, gently: bool = True) -> None:
        """Read the rows of items, with pauses where requests beside it are not to be held up."""
        items = content.items
        known = [itemid for itemid in itemids if itemid in items.items]
        rows = max(ROWS, len(items.table) // PARTS) if gently else AT_ONCE
        for start in range(0, len(known), rows):
            if start and gently:
                self._stopping.wait(PAUSE_S)
            items.update(content.features.items(known[start : start + rows]))
