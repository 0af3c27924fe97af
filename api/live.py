"""The live run, the live generation of the state and its items in memory, kept current by a thread.

What the data set is follows from the schema that is stored with the state, never from a description on this machine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from api.appending import Appending
from api.data_set import DataSetApi
from api.items import LiveItems
from api.live_ids import LiveIds
from api.messages import RequestError
from api.open_generation import UNPUBLISHED, OpenGeneration
from api.shard_items import WithdrawnItems, items_of
from features import Id, Layer, Profile, Schema
from scoring.run_ids import RunIds
from settings import Settings
from stores import (
    Generations,
    LiveGeneration,
    LiveRun,
    NotPublished,
    OtherVersion,
    Profiles,
    StateStores,
    StoreError,
    Unreachable,
    connect,
)
from stores.feast.feature_store import Features
from stores.redis.generations import FIRST

log = logging.getLogger("reelstream.api")

EVERY_S = 0.5
"""Seconds between two looks at what changed."""

SWITCHED_S = 0.1
"""Seconds between two looks at which generation of the state is live, and at notices of changed items."""

TOLD_S = 0.25
"""Least seconds between two looks at what changed: where items do, each makes new columns."""


@dataclass(frozen=True)
class Live:
    """A run and a generation of the state; taken once a request, so that an answer is made of one of each.

    Attributes:
        data_set: the data set of the generation.
        run: the run.
        ids: the ids that it was trained with.
        items: the items of the generation.
        withdrawn: those that are withdrawn in each shard.
        profiles: its users, in Redis.
        features: its feature rows, in Feast.
        not_followed: the reason why no worker folds events into the generation; None where they do.
        not_ranked: the reason why the run's ranker is not asked; None where it is.
    """

    data_set: DataSetApi
    run: LiveRun
    ids: RunIds
    items: LiveItems
    withdrawn: WithdrawnItems
    profiles: Profiles
    features: Features
    not_followed: str | None = None
    not_ranked: str | None = None

    @property
    def schema(self) -> Schema:
        """The schema of the data set."""
        return self.data_set.schema

    def stored(self, userid: Id) -> tuple[Profile | None, dict[Id, bool], int | None, Collection[Id]]:
        """A user as `Profiles.profile` gives it, with the items that are withdrawn in the user's shard alone so far.

        Raises:
            StoreError: as `Profiles.profile`.
        """
        profile, seen, applied, changes = self.profiles.profile(userid)
        shard = self.profiles.shard_of(userid)
        return profile, seen, applied, self.withdrawn.of(self.profiles, shard, changes, self.items)

    def items_of(self, profile: Profile) -> Layer:
        """The items, with all that a user's last events need.

        Raises:
            StoreError: as `api.shard_items.items_of`.
        """
        return items_of(profile, self.items, self.profiles)


class Follower:
    """Keeps `live` current. It stays as it was while the stores are away.

    A generation that is about to go live is opened beforehand, so that the switch takes no longer than a look.

    Attributes:
        live: None until a run is published.
        waits_for: what it is missing, None while all is well.
        appending: how events are appended to the log.

    A state of another version, whose counts are not the declared ones, is read as far as its fields are known, until a
    rebuild puts one of today's in its place. A run that was trained on other features than are declared is not ranked
    with; a process that has another run keeps that.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._client = settings, connect(settings.redis)
        self._generations = Generations(self._client)
        self._first = StateStores.of(settings, FIRST, self._client).profiles
        self._open: dict[str, OpenGeneration] = {}
        self._ids = LiveIds(settings.api.items_refresh_s)
        self.live: Live | None = None
        self.appending = Appending(settings.kafka.partitions)
        self.waits_for: str | None = "the first look at what is published"
        self._refusal = UNPUBLISHED
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    @property
    def limited_by(self) -> str | None:
        """The reason why answers are not the best ones although all stores answer; None where they are."""
        live = self.live
        return (live.not_followed or live.not_ranked) if live else None

    @property
    def profiles(self) -> Profiles:
        """The users of the live generation; of the first one until a run is published."""
        return self.live.profiles if self.live else self._first

    def require(self) -> Live:
        """The run and the generation that an answer is made with.

        Raises:
            RequestError: if there is nothing yet that they can be made with.
        """
        if self.live is None:
            raise RequestError(self._refusal, 503)
        return self.live

    def start(self) -> None:
        """Look once, so that a new process answers its first request as any other, then follow."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        looked = time.monotonic()
        while not self._stopping.wait(SWITCHED_S):
            age = time.monotonic() - looked
            if age >= EVERY_S or self._switched() or (age >= TOLD_S and self._told()):
                self._look()
                looked = time.monotonic()

    def _switched(self) -> bool:
        """Say whether another generation is live than the one that answers are made with."""
        try:
            generation, refused = self._generations.followed()
        except StoreError:
            return False
        self._note_partitions(generation, refused)
        return generation.name != self.profiles.generation

    def _told(self) -> bool:
        """Say whether items of the live generation changed since the last look."""
        opened = self._open.get(self.profiles.generation)
        try:
            return opened is not None and opened.told()
        except StoreError:
            return False

    def _look(self) -> None:
        try:
            self.look()
            self.waits_for = None
        except (NotPublished, Unreachable) as error:
            if isinstance(error, NotPublished):
                self._refusal = str(error)
            if self.waits_for != str(error):
                log.warning("%s", error)
            self.waits_for = str(error)
        except Exception:
            log.exception("unexpected error; trying again")
            self.waits_for = "an unexpected error, see the log"

    def look(self) -> None:
        """Read what changed since the last look.

        Raises:
            NotPublished: if nothing is published yet.
            OtherVersion: if what is published is of another version, or the run was trained on other features than are
                declared and another one is in use.
            Unreachable: if a store does not answer.
        """
        generation, refused = self._generations.followed()
        self._note_partitions(generation, refused)
        opened = self._opened(generation, generation.name)
        published = opened.run()
        content = opened.look(gently=self.live is not None)
        run, refusal = self._usable(published, content.data_set.schema)
        live = Live(
            data_set=content.data_set,
            run=run,
            ids=self._ids.of(content.stores, run),
            items=content.items,
            withdrawn=content.withdrawn,
            profiles=opened.profiles,
            features=content.features,
            not_followed=opened.earlier.refusal if opened.earlier else None,
            not_ranked=str(refusal) if refusal is not None and run is published else None,
        )
        if live != self.live:
            # So that no request waits for what it needs of all items.
            live.ids.columns(live.items.table)
            self.live = live
        self._open_next(generation)
        if refusal is not None and live.not_ranked is None:
            raise refusal

    def _note_partitions(self, generation: LiveGeneration, refused: bool) -> None:
        partitions = generation.append_over(self._settings.kafka.partitions)
        self.appending = Appending(partitions, refused, generation.partitions is not None)

    def _usable(self, published: LiveRun, schema: Schema) -> tuple[LiveRun, OtherVersion | None]:
        """The run to answer with; the reason why that is another, or is not ranked with, None where it is the best."""
        try:
            published.require_columns(schema)
        except OtherVersion as error:
            live = self.live
            keeps = live is not None and live.not_ranked is None and live.schema == schema
            return (live.run if live is not None and keeps else published), error
        return published, None

    def _data_set_of(self, schema: Schema) -> DataSetApi:
        """The part of the API for a data set; the one in use where it is the same, as it remembers attributes."""
        live = self.live
        return live.data_set if live is not None and live.schema == schema else DataSetApi(schema)

    def _opened(self, generation: LiveGeneration, name: str) -> OpenGeneration:
        shards = generation.shards_of(name, self._settings.kafka.partitions)
        if name not in self._open or self._open[name].shards != shards:
            self._open[name] = OpenGeneration(
                self._settings, name, shards, self._client, self._data_set_of, self._stopping
            )
        return self._open[name]

    def _open_next(self, generation: LiveGeneration) -> None:
        """Open the generation that is about to go live, and forget those that are not needed."""
        for name in self._open.keys() - {generation.name, generation.next}:
            del self._open[name]
        if generation.next is not None:
            try:
                self._opened(generation, generation.next).look()
            except StoreError as error:
                log.info("generation %s cannot be opened yet: %s", generation.next, error)
