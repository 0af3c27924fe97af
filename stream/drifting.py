"""The counting of drift: what the agent does with a batch of the feature log.

The order of effects:

    1. the events are scored where they are sampled, and counted by the monitor, in memory;
    2. alarms that opened or closed go to `drift.alarms`, acknowledged by Kafka;
    3. one Redis transaction, guarded by the position: all that is shown, the monitor's state, and the position itself;
    4. the offset is acknowledged to Kafka (in `stream.app`).

After a crash between any two of them the batch is counted again from the state before it. An alarm may then be told
twice, under the same key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from drift import Reference, ReferenceError
from drift.events import Events, Scored
from drift.monitor import Monitor, Plan
from features import LIKED
from settings import DriftSettings
from stores import DriftStore, DriftTopics, DriftUpdate, FeatureBatch, LiveRun, Published, ShardLost
from stream.drift_metrics import DriftMetrics
from stream.retry import Patient

log = logging.getLogger("reelstream.stream")

Score = Callable[[FeatureBatch, LiveRun], Scored]
"""Scores the sampled events of a batch."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the feature log: its offset, its bytes, and when it was appended, in unix seconds."""

    offset: int
    value: bytes
    appended: float


class Drifting:
    """Counts batches of the feature log. It blocks; it runs beside the event loop.

    Args:
        settings: how drift is watched.
        published: the run in use and its reference.
        store: what is shown.
        topics: where alarms go.
        score: scores the sampled events.
        metrics: of drift.
        patient: tries again while a store is away.
    """

    def __init__(
        self,
        settings: DriftSettings,
        published: Published,
        store: DriftStore,
        topics: DriftTopics,
        score: Score,
        metrics: DriftMetrics,
        patient: Patient,
    ) -> None:
        self._plan = Plan(settings.window, settings.panes, settings.pane_s, settings.patience)
        self._published, self._store, self._topics, self._score = published, store, topics, score
        self._metrics, self._patient = metrics, patient
        self._monitor: Monitor | None = None
        self._position = -1
        self._unwatched = ""

    def count(self, messages: Sequence[Message], holds: Callable[[], bool]) -> None:
        """Count consecutive messages, however long the stores are away; `holds` tells whether this worker still may."""

        def attempt() -> None:
            try:
                self._count(messages)
            except ShardLost:
                if holds():
                    raise
                log.info("drift is counted by another worker now")

        self._patient("counting drift", attempt)

    def _count(self, messages: Sequence[Message]) -> None:
        run = self._published.run()
        monitor, self._monitor = self._monitor, None
        if monitor is None or run is None or monitor.run != run.run:
            monitor = self._load(run)
        new = [message for message in messages if message.offset > self._position]
        if not new:
            self._monitor = monitor
            return
        update, created = DriftUpdate(), []
        if monitor is not None and run is not None:
            for message in new:
                batch = FeatureBatch.unpack(message.value)
                if monitor.add(events_of(batch, message.appended), self._score(batch, run), update):
                    created.append(batch.created)
            monitor.finish(update)
        self._topics.tell([(alarm.key, alarm.model_dump_json()) for alarm in update.opened + update.closed])
        self._store.write(self._position, new[-1].offset, update)
        self._position, self._monitor = new[-1].offset, monitor
        self._metrics.show(update, self._store)
        now = time.time()
        for times in created:
            for at in times.tolist():
                self._metrics.delay_seconds.observe(max(0.0, now - at))

    def _load(self, run: LiveRun | None) -> Monitor | None:
        """The monitor as it was stored, for the run in use; None where the run has nothing to compare with."""
        self._position, packed = self._store.state()
        text = self._published.reference(run.run) if run else None
        try:
            if run is None or text is None:
                raise ReferenceError("the run in use has no reference; train and publish one to watch drift")
            reference = Reference.from_json(text)
        except ReferenceError as error:
            name = run.run if run else "none"
            if name != self._unwatched:
                log.warning("drift of run %s is not watched: %s", name, error)
                self._unwatched = name
            return None
        if packed is None:
            return Monitor(run.run, reference, self._plan)
        return Monitor.unpack(packed, run.run, reference, self._plan)


def events_of(batch: FeatureBatch, appended: float) -> Events:
    """A batch as the monitor takes it."""
    liked = np.asarray(batch.rating >= LIKED)
    return Events(batch.partition, batch.offset, batch.ts, liked, batch.rows, appended)
