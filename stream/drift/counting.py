"""The counting of drift: what the agent does with a batch of the feature log.

The order of effects:

    1. the events are scored where they are sampled, and counted by the monitor, in memory;
    2. alarms that opened or closed go to `drift.alarms`, acknowledged by Kafka;
    3. one Redis transaction, guarded by the position: all that is shown, the monitor's state, and the position itself;
    4. the offset is acknowledged to Kafka (in `stream.app`).

After a crash between any two of them the batch is counted again from the state before it. An alarm may then be told
twice, under the same key.

Nothing here stops the fold, which runs in the same process. A message that cannot be read or counted is reported and
skipped; a stored state that cannot be read is reset. Each raises an alarm about drift itself (detector `failure`),
which closes with the first batch that is counted without.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drift import Reference, ReferenceError
from drift.acknowledged import changed
from drift.events import Events, Scored
from drift.monitor import Monitor, Plan
from drift.records import Alarm, DriftUpdate
from drift.series import Series
from features.schema import Schema
from settings import DriftSettings
from stores import DriftTopics, FeatureBatch, LiveRun, OtherVersion, ShardLost, StoreError
from stores.kafka.feature_log import FeatureLogError
from stream.consume.assignment import Assignment
from stream.consume.batches import records_of
from stream.drift.failures import DETECTOR, Failures
from stream.drift.metrics import DriftMetrics
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import DRIFT

log = logging.getLogger("reelstream.stream")


class Ranker(Protocol):
    """Scores events."""

    def score(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        """Score the sampled events of a batch."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the feature log: its offset, its bytes, and when it was appended, in unix seconds."""

    offset: int
    value: bytes | None
    appended: float


class Drifting:
    """Counts batches of the feature log. It blocks; it runs beside the event loop.

    Args:
        settings: how drift is watched.
        stores: the run in use and its reference, and what is shown.
        topics: where alarms go.
        ranker: scores the sampled events.
        feature_log: whether this worker holds its partition.
        health: where failures are reported, and what is tried again while a store is away.
    """

    def __init__(
        self,
        settings: DriftSettings,
        stores: RedisStores,
        topics: DriftTopics,
        ranker: Ranker,
        feature_log: Assignment,
        health: Health,
    ) -> None:
        self._plan = plan_of(settings)
        self._stores, self._published, self._store = stores, stores.state.published, stores.drift
        self._topics, self._ranker = topics, ranker
        self._feature_log, self._health = feature_log, health
        self._metrics = DriftMetrics(health.metrics.registry)
        self._failures = Failures()
        self._failed_batches = 0
        self._monitor: Monitor | None = None
        self._schema: Schema | None = None
        self._position = -1
        self._unwatched = ""

    def count_events(self, events: Sequence[Any]) -> None:
        """Count the messages of Faust's events; a failure is reported, and never stops the worker."""
        messages = [Message(record.offset, record.value, record.created) for record in records_of(events)]
        try:
            self.count(messages)
        except Exception as error:
            # Counted no further than the position in Redis, from which the next worker goes on.
            text = f"{len(messages)} messages are not counted: {error!r}"
            self._health.troubles.report(DRIFT, text, len(messages), error)

    def count(self, messages: Sequence[Message]) -> None:
        """Count consecutive messages, however long the stores are away.

        Messages that cannot be counted are reported and skipped, and the others are counted without them. Where that
        is all of two batches in a row, it must be the state, which is reset.
        """
        try:
            self._try(messages)
            self._failed_batches = 0
            return
        except StoreError:
            raise
        except Exception as error:
            log.warning("a batch of the feature log cannot be counted as a whole: %r", error)
        failed = self._one_by_one(messages)
        self._failed_batches = self._failed_batches + 1 if len(failed) == len(messages) else 0
        if self._failed_batches > 1:
            self._reset("no message can be counted with it", failed[0][1])
            failed, self._failed_batches = self._one_by_one(messages), 0
        if failed:
            message, first = failed[0]
            self._fail(f"{len(failed)} messages cannot be counted, from offset {message.offset} on: {first!r}", first)

    def _one_by_one(self, messages: Sequence[Message]) -> list[tuple[Message, Exception]]:
        """Count messages each by itself; those that cannot be counted, and why."""
        failed: list[tuple[Message, Exception]] = []
        for message in messages:
            try:
                self._try([message])
            except StoreError:
                raise
            except Exception as error:
                failed.append((message, error))
        return failed

    def _try(self, messages: Sequence[Message]) -> None:
        def attempt() -> None:
            try:
                self._count(messages)
            except ShardLost:
                if 0 in self._feature_log:
                    raise
                log.info("drift is counted by another worker now")

        self._health.retrier("counting drift", attempt)

    def _count(self, messages: Sequence[Message]) -> None:
        run = self._run()
        # One that fails midway is not gone on with, but read again.
        monitor, self._monitor = self._monitor, None
        if monitor is None or run is None or monitor.run != run.run:
            monitor = self._load(run)
        new = [message for message in messages if message.offset > self._position]
        if not new:
            self._monitor = monitor
            return
        update, created = DriftUpdate(), []
        if monitor is not None and run is not None and (schema := self._schema) is not None:
            for message in new:
                batch = self._read(schema, message)
                if batch is not None and monitor.add(
                    events_of(schema, batch, message.appended), self._scored(batch, run), update
                ):
                    created.append(batch.created)
            monitor.finish(update)
            update.unacknowledged = self._outdated(monitor, update)
        opened, closed = self._failures.changes()
        update.opened += opened
        update.closed += closed
        self._tell(update.opened + update.closed)
        self._write(new[-1].offset, update)
        self._failures.written(update)
        self._position, self._monitor = new[-1].offset, monitor
        self._show(update)
        now = time.time()
        for times in created:
            for at in times.tolist():
                self._metrics.delay_seconds.observe(max(0.0, now - at))

    def _run(self) -> LiveRun | None:
        """The run in use; None where there is none that can be read, so that nothing is watched meanwhile."""
        try:
            return self._published.run()
        except OtherVersion as error:
            self._fail(str(error), error)
            return None
        except StoreError:
            raise
        except Exception as error:
            self._fail(f"the run in use cannot be read: {error!r}", error)
            return None

    def _show(self, update: DriftUpdate) -> None:
        try:
            self._metrics.show(update, self._store)
        except StoreError as error:
            log.warning("the metrics of drift are not brought up to date: %s", error)
        except Exception as error:
            self._fail(f"the metrics of drift cannot be brought up to date: {error!r}", error)

    def _read(self, schema: Schema, message: Message) -> FeatureBatch | None:
        """The batch in a message; None where it is not one."""
        try:
            return FeatureBatch.unpack(message.value, schema)
        except FeatureLogError as error:
            self._fail(f"a message of the feature log {error}, at offset {message.offset}")
            return None

    def _scored(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        try:
            return self._ranker.score(batch, run)
        except Exception as error:
            self._fail(f"events cannot be scored: {error!r}", error)
            return Scored.none(run.run)

    def _write(self, position: int, update: DriftUpdate) -> None:
        """Write what a batch changes; where Redis holds something else under the keys, all of drift begins anew.

        Raises:
            StoreError: if Redis does not answer, or another worker counts.
        """
        try:
            self._store.write(self._position, position, update)
        except StoreError:
            raise
        except Exception as error:
            self._reset("it cannot be written", error)
            opened, _ = self._failures.changes()
            update.opened += opened
            self._tell([alarm for alarm in update.opened if alarm.detector == DETECTOR])
            self._store.write(-1, position, update)

    def _reset(self, why: str, error: Exception) -> None:
        """Forget all that drift has found, as it cannot be gone on with.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._store.delete_all()
        self._position, self._monitor = -1, None
        self._failures.forget()
        self._fail(f"the stored state of drift is reset, as {why}: {error!r}", error)

    def _tell(self, alarms: Sequence[Alarm]) -> None:
        if refused := self._topics.tell([(alarm.key, alarm.model_dump_json()) for alarm in alarms]):
            self._health.troubles.report(DRIFT, f"Kafka refuses {len(refused)} alarms: {refused[0]}", len(refused))

    def _fail(self, message: str, error: Exception | None = None) -> None:
        self._health.troubles.report(DRIFT, message, error=error)
        self._failures.happened()

    def _load(self, run: LiveRun | None) -> Monitor | None:
        """The monitor as it was stored, for the run in use; None where the run has nothing to compare with."""
        packed: bytes | None
        try:
            self._position, packed = self._store.state()
        except StoreError:
            raise
        except Exception as error:
            self._reset("its position cannot be read", error)
            packed = None
        try:
            if run is None:
                raise ReferenceError("there is no run in use")
            series, reference = self._reference(run)
            self._schema = series.schema
        except ReferenceError as error:
            name = run.run if run else "none"
            if name != self._unwatched:
                log.warning("drift of run %s is not monitored: %s", name, error)
                self._unwatched = name
            return None
        self._adopt()
        if packed is not None:
            try:
                return Monitor.unpack(packed, run.run, series, reference, self._plan)
            except Exception as error:
                self._fail(f"the stored state of drift cannot be read and is reset: {error!r}", error)
        monitor = Monitor(run.run, series, reference, self._plan)
        # No monitor remembers them any more, so none would ever close them.
        monitor.close_earlier([alarm for alarm in self._store.alarms(0) if alarm.detector != DETECTOR])
        return monitor

    def _outdated(self, monitor: Monitor, update: DriftUpdate) -> list[str]:
        """The acknowledged causes whose alarms have changed since."""
        if not (update.now or update.opened or update.closed):
            return []
        try:
            known, standing = self._store.acknowledged(), update.now or self._store.now()
        except StoreError:
            raise
        except Exception as error:
            self._fail(f"the acknowledgements of alarms cannot be read: {error!r}", error)
            return []
        opened = monitor.open_alarms
        return [cause for cause, each in known.items() if changed(each, opened, standing)]

    def _reference(self, run: LiveRun) -> tuple[Series, Reference]:
        """The series of the data set, and a run's reference.

        Raises:
            ReferenceError: if it has none, or one that cannot be read.
            StoreError: if Redis does not answer.
        """
        try:
            text = self._published.reference(run.run)
            if text is not None:
                series = Series(self._stores.state.published.schema())
                return series, Reference.from_json(series, text)
        except OtherVersion as error:
            raise ReferenceError(str(error)) from error
        except (StoreError, ReferenceError):
            raise
        except Exception as error:
            raise ReferenceError(f"its reference cannot be read ({error!r}); train and publish another run") from error
        raise ReferenceError("it has no reference; train and publish a run to watch drift")

    def _adopt(self) -> None:
        """Take up an alarm about drift itself that is open from before this worker started."""
        try:
            self._failures.adopt(self._store.alarms(0))
            self._store.counts()
        except StoreError:
            raise
        except Exception as error:
            self._reset("its open alarms or its counts cannot be read", error)


def plan_of(settings: DriftSettings) -> Plan:
    """Plan of drift monitoring that follows from the settings."""
    return Plan(settings.window, settings.strides, settings.stride_s, settings.patience, settings.false_alarms_per_week)


def events_of(schema: Schema, batch: FeatureBatch, appended: float) -> Events:
    """A batch as the monitor takes it."""
    liked = schema.codes.positive_array[batch.code]
    return Events(batch.partition, batch.offset, batch.ts, liked, batch.rows, appended)
