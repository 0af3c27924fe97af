"""What a stream worker does with its batches: fold, and try again while a store is away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from features import Item
from settings import Settings
from stores import DriftTopics, Gap, Logged, Profiles, Published, ShardLost
from stores.feature_store import Features
from stores.sender import Sender
from stream.fold import Fold, dead_message
from stream.inputs import Inputs
from stream.items import publish_items
from stream.metrics import Metrics
from stream.retry import Patient

log = logging.getLogger("reelstream.stream")

DEAD_WITHIN_S = 30.0
"""Seconds that Kafka gets to take a batch's dead events, before the batch is tried again."""


class Worker:
    """Folds batches and publishes item counters. Its methods block; they run beside the event loop.

    Attributes:
        last: last offset folded, by partition.
    """

    def __init__(
        self, settings: Settings, profiles: Profiles, published: Published, metrics: Metrics, patient: Patient
    ) -> None:
        self._settings = settings
        self._profiles = profiles
        self._published = published
        self._metrics = metrics
        self._patient = patient
        self._fold: Fold | None = None
        self._items: Mapping[int, Item] = {}
        self._item_features: Features | None = None
        self._send = Sender(settings.kafka, DEAD_WITHIN_S)
        self.last: dict[int, int] = {}

    @property
    def waits_for(self) -> str | None:
        """What the worker cannot go on without; None while it works."""
        return self._patient.waits_for()

    def fold(self, partition: int, records: Sequence[Logged], holds: Callable[[], bool]) -> bool:
        """Fold consecutive events of a partition, however long the stores are away.

        Args:
            partition: the partition.
            records: its events.
            holds: tells whether this worker still holds the partition.

        Returns:
            Whether they are folded; not where the partition has gone to another worker.

        Raises:
            Gap: if events are missing before the first.
        """

        def attempt() -> bool:
            fold = self._fold or self._make_fold()
            try:
                with self._metrics.batch_seconds.time():
                    folded = fold(partition, records)
            except (ShardLost, Gap):
                fold.forget(partition)
                if holds():
                    raise
                log.info("partition %d has gone to another worker", partition)
                return False
            self._metrics.applied.inc(folded.applied)
            self._metrics.redelivered.inc(folded.redelivered)
            self._metrics.dead.inc(folded.dead)
            self.last[partition] = folded.last
            return True

        return self._patient("folding a batch", attempt)

    def publish_items(self) -> None:
        """Publish the item counters that changed, if the stores answer; else the next call does."""
        if self._fold is None:
            return
        if self._item_features is None:
            self._item_features = Features(self._settings)
        features = self._item_features
        published = self._patient(
            "publishing item counters",
            lambda: publish_items(self._profiles, self._published, features, self._items),
        )
        self._metrics.items.inc(published)

    def _make_fold(self) -> Fold:
        self._items = self._published.catalogue()
        inputs = None
        if self._settings.drift.enabled:
            topics = DriftTopics(self._settings.kafka)
            inputs = Inputs(self._items, self._published.others, self._settings.drift, topics)
        self._fold = Fold(self._profiles, Features(self._settings), self._items, self._report_dead, inputs)
        return self._fold

    def _report_dead(self, dead: Sequence[tuple[Logged, str]]) -> None:
        for record, reason in dead:
            log.warning("dead event at partition %d offset %d: %s", record.partition, record.offset, reason)
        self._send(self._settings.kafka.dead_topic, [dead_message(record, reason) for record, reason in dead])
