"""The agent that counts drift, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import faust
import river.drift  # noqa: F401  so that the worker's start takes the second that it needs, not the first event
from faust.types import TP

from drift.events import Scored
from settings import Settings
from stores import (
    DriftStore,
    DriftTopics,
    FeatureBatch,
    ItemIndex,
    LiveRun,
    Models,
    Profiles,
    Published,
)
from stream.batches import batches
from stream.beside import beside
from stream.drift_metrics import DriftMetrics
from stream.drifting import Drifting, Message
from stream.metrics import Metrics
from stream.retry import Patient
from stream.scoring import Scorer
from stream.served import Served

MESSAGES = 200
"""Most messages counted in one transaction."""


def position(store: DriftStore, settings: Settings) -> dict[TP, int | None]:
    """Offset of the feature log up to which events are counted."""
    return {TP(settings.kafka.features_topic, 0): store.position()} if settings.drift.enabled else {}


def watch_drift(
    app: faust.App,
    settings: Settings,
    profiles: Profiles,
    published: Published,
    metrics: Metrics,
    patient: Patient,
    end: Callable[[BaseException], None],
) -> None:
    """Add the agent to an application; `end` ends the process after an unexpected error."""
    ranker = Ranker(settings, profiles, published)
    drifting = Drifting(
        settings.drift,
        published,
        DriftStore(profiles.client),
        DriftTopics(settings.kafka),
        ranker.score,
        DriftMetrics(metrics.registry),
        patient,
    )
    log = TP(settings.kafka.features_topic, 0)

    def count(events: Sequence[Any]) -> None:
        messages = [Message(each.message.offset, each.message.value, each.message.timestamp) for each in events]
        try:
            drifting.count(messages, lambda: log in app.consumer.assignment())
        except Exception as error:
            end(error)

    @app.agent(app.topic(log.topic, key_type=bytes, value_type=bytes, internal=False), name="drift")
    async def drift(stream: faust.StreamT[bytes]) -> None:
        async for events in batches(stream, MESSAGES, settings.drift.within_s):
            await beside(count, events)


class Ranker:
    """The live ranker, connected when the first event is scored."""

    def __init__(self, settings: Settings, profiles: Profiles, published: Published) -> None:
        self._settings, self._profiles, self._published = settings, profiles, published

    def score(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        """Score the sampled events of a batch."""
        return self._scorer(batch, run) if batch.sampled else Scored.none(run.run)

    @cached_property
    def _scorer(self) -> Scorer:
        models = Models(self._settings.triton)
        items = self._published.catalogue()
        index = ItemIndex(self._settings.elasticsearch)
        return Scorer(models, Served(items, self._profiles, index, models, self._settings.recall))
