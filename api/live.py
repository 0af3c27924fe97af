"""The live run, the live generation of the state and its items in memory, kept current by a thread."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from api.appending import Appending
from api.items import LiveItems
from api.messages import RequestError
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
from stores.redis.connection import Client
from stores.redis.earlier_profiles import EarlierProfiles
from stores.redis.earlier_state import EarlierState
from stores.redis.generations import FIRST

log = logging.getLogger("reelstream.api")

UNPUBLISHED = "nothing is published yet; run `reelstream publish`"

EVERY_S = 0.5
"""Seconds between two looks at what changed."""

SWITCHED_S = 0.1
"""Seconds between two looks at which generation of the state is live."""

ROWS = 100
PAUSE_S = 0.02
"""Rows read at once, and seconds between, when all are read."""


@dataclass(frozen=True)
class Live:
    """A run and a generation of the state; taken once a request, so that an answer is made of one of each.

    Attributes:
        run: the run.
        items: the items of the generation.
        profiles: its users, in Redis.
        features: its feature rows, in Feast.
        not_followed: the reason why no worker folds events into the generation; None where they do.
        not_ranked: the reason why the run's ranker is not asked; None where it is.
    """

    run: LiveRun
    items: LiveItems
    profiles: Profiles
    features: Features
    not_followed: str | None = None
    not_ranked: str | None = None


class OpenGeneration:
    """A generation of the state with its items in memory.

    Args:
        settings: all settings.
        name: of the generation.
        shards: that it has.
        client: Redis.
        stopping: set when the process ends.

    Attributes:
        state: its stores.
        features: its feature rows, in Feast.
        profiles: its users, as this release reads them.
        earlier: its version, if that is not the declared one.
    """

    def __init__(self, settings: Settings, name: str, shards: int, client: Client, stopping: threading.Event) -> None:
        self._settings, self._stopping = settings, stopping
        self.state = StateStores.of(settings, name, client, shards)
        self.features = Features(settings, name)
        self.profiles = self.state.profiles
        self.earlier: EarlierState | None = None
        self._notice = "0-0"
        self._read_at = 0.0
        self._items: LiveItems | None = None
        self._snapshot: str | None = None

    def look(self) -> LiveItems:
        """Read what changed since the last look.

        Raises:
            NotPublished: if the generation has no snapshot.
            OtherVersion: if its snapshot or catalogue is of another version.
            Unreachable: if a store does not answer.
        """
        published = self.state.published
        snapshot = published.snapshot()
        if snapshot is None:
            raise NotPublished(UNPUBLISHED)
        earlier = published.earlier_state()
        if earlier != self.earlier:
            self.earlier = earlier
            self.profiles = EarlierProfiles(self.state.profiles, earlier) if earlier else self.state.profiles
        items = self._items
        if items is None or snapshot.created != self._snapshot:
            items = LiveItems(published.catalogue(), self._settings.recall.half_life_days)
            self._read_at = 0.0
            self._snapshot = snapshot.created
        if time.monotonic() - self._read_at > self._settings.api.items_refresh_s or not self._read_at:
            self._notice = published.last_notice()
            self._read_all(items)
            self._read_at = time.monotonic()
        else:
            self._notice, changed = published.changed_items(self._notice)
            if changed is None:
                self._read_at = 0.0
            else:
                items.update(self.features.items([itemid for itemid in changed if itemid in items.items]))
        self._items = items
        return items

    def _read_all(self, items: LiveItems) -> None:
        """Read every row, with pauses, so that requests beside it are not held up."""
        itemids = list(items.items)
        for start in range(0, len(itemids), ROWS):
            items.update(self.features.items(itemids[start : start + ROWS]))
            self._stopping.wait(PAUSE_S)


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
        due = time.monotonic() + EVERY_S
        while not self._stopping.wait(SWITCHED_S):
            if time.monotonic() >= due or self._switched():
                self._look()
                due = time.monotonic() + EVERY_S

    def _switched(self) -> bool:
        """Say whether another generation is live than the one that answers are made with."""
        try:
            generation, refused = self._generations.followed()
        except StoreError:
            return False
        self._note_partitions(generation, refused)
        return generation.name != self.profiles.generation

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
        published = opened.state.published.run()
        if published is None:
            raise NotPublished(UNPUBLISHED)
        items = opened.look()
        run, refusal = self._usable(published)
        not_ranked = str(refusal) if refusal is not None and run is published else None
        not_followed = opened.earlier.refusal if opened.earlier else None
        live = Live(run, items, opened.profiles, opened.features, not_followed, not_ranked)
        if live != self.live:
            self.live = live
        self._open_next(generation)
        if refusal is not None and not_ranked is None:
            raise refusal

    def _note_partitions(self, generation: LiveGeneration, refused: bool) -> None:
        partitions = generation.append_over(self._settings.kafka.partitions)
        self.appending = Appending(partitions, refused, generation.partitions is not None)

    def _usable(self, published: LiveRun) -> tuple[LiveRun, OtherVersion | None]:
        """The run to answer with; the reason why that is another, or is not ranked with, None where it is the best."""
        try:
            published.require_columns()
        except OtherVersion as error:
            kept = self.live.run if self.live is not None and self.live.not_ranked is None else published
            return kept, error
        return published, None

    def _opened(self, generation: LiveGeneration, name: str) -> OpenGeneration:
        shards = generation.shards_of(name, self._settings.kafka.partitions)
        if name not in self._open or self._open[name].state.profiles.partitions != shards:
            self._open[name] = OpenGeneration(self._settings, name, shards, self._client, self._stopping)
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
