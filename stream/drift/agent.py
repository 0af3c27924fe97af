"""The agent that counts drift, and what it is made of."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import faust
from faust.types import TP

from drift.events import Scored
from settings import Settings
from stores import DriftStore, DriftTopics, FeatureBatch, LiveRun, Models, Profiles, Published, StoreError
from stream.consume.batches import batches
from stream.drift.counterfactual import CounterfactualList
from stream.drift.counting import Drifting, Message
from stream.drift.earlier import EarlierCounters
from stream.drift.metrics import DriftMetrics
from stream.drift.scoring import Scorer
from stream.metrics import Metrics
from stream.retry import Retrier
from stream.run_blocking import run_blocking
from stream.troubles import DRIFT, Troubles

log = logging.getLogger("reelstream.stream")

MESSAGES = 200
"""Most messages counted in one transaction."""

FEW = 500
"""A new worker loads river, with which it counts drift, once no more ratings than these wait."""

KNOWN_AFTER_S = 0.5
"""Seconds after which a new worker knows how many wait."""

BEGINS_WITHIN_S = 15.0
"""Seconds after which it loads river even so."""


def position(store: DriftStore, settings: Settings, troubles: Troubles) -> dict[TP, int | None]:
    """Offset of the feature log up to which events are counted; -1 where that cannot be read."""
    if not settings.drift.enabled:
        return {}
    try:
        counted = store.position()
    except StoreError:
        raise
    except Exception as error:
        troubles.report(DRIFT, f"the position of drift cannot be read: {error!r}", error=error)
        counted = -1
    return {TP(settings.kafka.features_topic, 0): counted}


def watch_drift(
    app: faust.App,
    settings: Settings,
    profiles: Profiles,
    published: Published,
    metrics: Metrics,
    retrier: Retrier,
    behind: Callable[[], int],
    troubles: Troubles,
) -> None:
    """Add the agent to an application.

    Args:
        app: the application.
        settings: all settings.
        profiles: the state.
        published: the run in use.
        metrics: of the worker.
        retrier: tries again while a store is away.
        behind: tells how many ratings wait for this worker.
        troubles: where failures are reported; none of them stops the fold.
    """
    ranker = Ranker(settings, profiles, published)
    drifting = Drifting(
        settings.drift,
        published,
        DriftStore(profiles.client),
        DriftTopics(settings.kafka),
        troubles,
        ranker.score,
        DriftMetrics(metrics.registry),
        retrier,
    )
    feature_log = TP(settings.kafka.features_topic, 0)

    def count(events: Sequence[Any]) -> None:
        messages = [Message(each.message.offset, each.message.value, each.message.timestamp or 0.0) for each in events]
        try:
            drifting.count(messages, lambda: feature_log in app.consumer.assignment())
        except Exception as error:
            # Counted no further than the position in Redis, from which the next worker goes on.
            troubles.report(DRIFT, f"{len(messages)} messages are not counted: {error!r}", len(messages), error)

    @app.agent(app.topic(feature_log.topic, key_type=bytes, value_type=bytes, internal=False), name="drift")
    async def drift(stream: faust.StreamT[bytes]) -> None:
        async for events in batches(stream, MESSAGES, settings.drift.within_s):
            await loaded.wait()
            await run_blocking(count, events)

    loaded = asyncio.Event()

    @app.task
    async def load() -> None:
        """It takes seconds, in which a worker that takes over from one that died folds what waited meanwhile."""
        until = time.monotonic() + BEGINS_WITHIN_S
        await asyncio.to_thread(ranker.read_counters)
        await asyncio.sleep(KNOWN_AFTER_S)
        while behind() > FEW and time.monotonic() < until:
            await asyncio.sleep(0.1)
        try:
            await asyncio.to_thread(import_module, "river.drift")
        except Exception as error:
            troubles.report(DRIFT, f"the detectors cannot be loaded: {error!r}", error=error)
        loaded.set()


class Ranker:
    """The live ranker, connected when the first event is scored."""

    def __init__(self, settings: Settings, profiles: Profiles, published: Published) -> None:
        self._settings, self._profiles, self._published = settings, profiles, published

    def score(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        """Score the sampled events of a batch."""
        return self._scorer(batch, run) if batch.sampled else Scored.none(run.run)

    def read_counters(self) -> None:
        """Read the items' counters before the first event is folded, so that a list can be made for it."""
        try:
            self._counters.read()
        except StoreError as error:
            log.warning("the first lists are not made: %s", error)

    @cached_property
    def _counters(self) -> EarlierCounters:
        return EarlierCounters(self._profiles, sorted(self._published.catalogue()))

    @cached_property
    def _scorer(self) -> Scorer:
        from stores.elasticsearch import ItemIndex  # takes a second, while a new worker's partitions wait

        models = Models(self._settings.triton)
        items = self._published.catalogue()
        index = ItemIndex(self._settings.elasticsearch)
        return Scorer(
            models, CounterfactualList(items, self._profiles, self._counters, index, models, self._settings.recall)
        )
