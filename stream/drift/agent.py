"""The agent that counts drift, and what it is made of."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import faust

from drift.events import Scored
from settings import Settings
from stores import DriftTopics, FeatureBatch, LiveRun, Models, Serving, StateStores, StoreError
from stores.kafka.log import end_of
from stream.consume.assignment import Assignment, Backlog
from stream.consume.batches import acknowledge, batches, run_blocking
from stream.drift.counterfactual import CounterfactualList
from stream.drift.counting import Drifting
from stream.drift.earlier import EarlierCounters
from stream.drift.items import ListedItems
from stream.drift.scoring import Scorer
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import DRIFT

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex

log = logging.getLogger("reelstream.stream")

MESSAGES = 200
"""Most messages counted in one transaction."""

FEW = 500
"""A new worker loads river, with which it counts drift, once no more events than these wait."""

KNOWN_AFTER_S = 0.5
"""Seconds after which a new worker knows how many wait."""

BEGINS_WITHIN_S = 15.0
"""Seconds after which it loads river even so."""


def watch_drift(app: faust.App, settings: Settings, stores: RedisStores, health: Health, backlog: Backlog) -> None:
    """Add the agent to an application.

    Args:
        app: the application.
        settings: all settings.
        stores: the state, the run in use, and what drift has found.
        health: failures, none of which stops the fold, and what the worker waits for.
        backlog: the events that wait for this worker.
    """
    ranker = LiveRanker(settings, stores)
    feature_log = Assignment(app, settings.kafka.features_topic)
    drifting = Drifting(settings.drift, stores, DriftTopics(settings.kafka), ranker, feature_log, health)

    @app.agent(app.topic(settings.kafka.features_topic, key_type=bytes, value_type=bytes, internal=False), name="drift")
    async def drift(stream: faust.StreamT[bytes]) -> None:
        async for events in batches(stream, MESSAGES, settings.drift.within_s):
            await loaded.wait()
            await run_blocking(drifting.count_events, events)
            await acknowledge(stream, events)

    loaded = asyncio.Event()

    @app.task
    async def load() -> None:
        """It takes seconds, in which a worker that takes over from one that died folds what waited meanwhile."""
        until = time.monotonic() + BEGINS_WITHIN_S
        await asyncio.to_thread(ranker.read_counters)
        await asyncio.sleep(KNOWN_AFTER_S)
        while backlog.total() > FEW and time.monotonic() < until:
            await asyncio.sleep(0.1)
        try:
            await asyncio.to_thread(import_module, "river.drift")
        except Exception as error:
            health.troubles.report(DRIFT, f"the detectors cannot be loaded: {error!r}", error=error)
        loaded.set()


def leave_drift_out(app: faust.App, settings: Settings, stores: RedisStores, health: Health) -> None:
    """Have an application that does not watch drift end the counts of those before it.

    The events that it folds are in no count. When drift is watched again, it is counted from there on: `verify`
    compares counts with the events up to the last one that was counted, without a hole.
    """

    def end_counts() -> None:
        if stores.drift.position() >= 0:
            stores.drift.start_over(end_of(settings.kafka, settings.kafka.features_topic) - 1)

    def wait() -> None:
        health.retrier("ending the counts of drift", end_counts)

    @app.task
    async def leave_out() -> None:
        threading.Thread(target=wait, name="drift is off", daemon=True).start()


class LiveRanker:
    """The live ranker, with the state of the generation that the worker follows."""

    def __init__(self, settings: Settings, stores: RedisStores) -> None:
        self._settings, self._stores = settings, stores
        self._ranker = Ranker(settings, stores.state)

    def score(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        """Score the sampled events of a batch."""
        return self._current().score(batch, run)

    def read_counters(self) -> None:
        """Read the items' counters before the first event is folded, so that a list can be made for it."""
        self._current().read_counters()

    def _current(self) -> Ranker:
        if self._ranker.state is not self._stores.state:
            self._ranker = Ranker(self._settings, self._stores.state)
        return self._ranker


class Ranker:
    """The live ranker, connected when the first event is scored.

    Attributes:
        state: the generation of the state whose users and items the lists are made of.
    """

    def __init__(self, settings: Settings, state: StateStores) -> None:
        self._settings, self.state = settings, state
        self._profiles, self._published = state.profiles, state.published
        self._serving: Serving | None = None

    def score(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        """Score the sampled events of a batch."""
        return self._scorer(batch, self._serving_of(run)) if batch.sampled else Scored.none(run.run)

    def read_counters(self) -> None:
        """Read the items' counters before the first event is folded, so that a list can be made for it."""
        try:
            self._counters.read()
        except StoreError as error:
            log.warning("the first lists are not made: %s", error)

    def _serving_of(self, run: LiveRun) -> Serving:
        """A run with its models and its index."""
        if self._serving is None or self._serving.run != run:
            ids, (models, index) = self.state.ids(run), self._servers
            self._serving = Serving(run, ids, models, index, self._items.table(), self._settings.recall)
        return self._serving

    @cached_property
    def _servers(self) -> tuple[Models, ItemIndex]:
        from stores.elasticsearch import ItemIndex  # takes a second, while a new worker's partitions wait

        return Models(self._settings.triton), ItemIndex(self._settings.elasticsearch)

    @cached_property
    def _items(self) -> ListedItems:
        self._published.require_state_version()
        return ListedItems(self._published.schema(), self._published.catalogue(), self._profiles)

    @cached_property
    def _counters(self) -> EarlierCounters:
        return EarlierCounters(self._profiles, self._items.table, self._settings.recall.half_life_days)

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(CounterfactualList(self._profiles, self._counters))
