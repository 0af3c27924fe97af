"""Keeps a worker from folding a log that is not the one its state was folded from.

A partition whose log fails the check of `stores.kafka.log_check`, or lacks events that the state needs next, is
stopped: its records are left alone, the reason is noted in Redis for everyone who reports it, and the other
partitions go on.

The check compares the last record folded. A log that was cut off and has grown again must be compared before the next
record is folded, or the comparison is with a record of the new log. A log changes only while Kafka is down, which takes
longer than a check is valid for: a batch that comes later than that waits for another.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from settings import Settings
from stores import Changes, Profiles, ShardLost, Wanted
from stores.kafka.batch_headers import Run, holds_events, lost, read_runs
from stores.kafka.log_check import Checked, ShardPosition
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark
from stores.redis.shard_log import ShardLogs
from stream.metrics import Metrics
from stream.redis_stores import RedisStores

log = logging.getLogger("reelstream.stream")


CHECK_EVERY_S = 1.0
"""Seconds between two checks."""

IDLE_S = 3.0
"""Seconds without progress after which the offsets that a shard has yet to fold may all be without events."""

VALID_S = 2.5
"""Seconds that a check is valid for; no Kafka stops, and starts with other data, in less."""


class LogGuard:
    """Checks the log of a worker's partitions, and remembers which are stopped.

    Its methods block. Where they say so, they raise Unreachable if Kafka or Redis does not answer.

    Args:
        settings: all settings.
        stores: the state.
        metrics: of the worker.

    Attributes:
        stopped: by partition, the reason why it is stopped.
    """

    def __init__(self, settings: Settings, stores: RedisStores, metrics: Metrics) -> None:
        self._kafka, self._stores, self._metrics = settings.kafka, stores, metrics
        self._probe = LogProbe(settings.kafka, settings.log_heads)
        self._lock = threading.Lock()
        self._stopped_at: dict[int, int | None] = {}
        self._last: dict[int, tuple[int | None, float]] = {}
        self._furthest: dict[int, int] = {}
        self._checked_at = -math.inf
        self._lost: dict[int, tuple[tuple[int, int], ...]] = {}
        self.stopped: dict[int, str] = {}

    @property
    def _profiles(self) -> Profiles:
        """The state of the generation that the worker follows."""
        return self._stores.state.profiles

    @property
    def _logs(self) -> ShardLogs:
        return ShardLogs(self._profiles)

    def start(self) -> None:
        """Check all partitions before any of them is read; raises Unreachable."""
        with self._lock:
            self.stopped, self._stopped_at, self._last, self._furthest = {}, {}, {}, {}
            now, positions = time.monotonic(), self._logs.positions()
            self._furthest = {
                partition: each.applied for partition, each in positions.items() if each.applied is not None
            }
            self._lost = {partition: position.lost for partition, position in positions.items()}
            if any(position.applied is not None for position in positions.values()):
                for partition, checked in self._probe.check(positions).items():
                    self._note(partition, checked)
            self._checked_at = now

    def require_check(self, partitions: Collection[int]) -> None:
        """Check again, unless that was done a moment ago, before events are folded; raises Unreachable."""
        if time.monotonic() - self._checked_at > VALID_S:
            self.watch(partitions)

    def watch(self, partitions: Collection[int]) -> bool:
        """Check the partitions that the worker holds while it reads them; raises Unreachable.

        Returns:
            Whether the worker must start over: a stopped partition can go on, or the state has gone back to an older
            one, as when Redis lost its data and what the log follows was written again.
        """
        with self._lock:
            # Read first: what is folded meanwhile is further than the positions.
            now, furthest = time.monotonic(), dict(self._furthest)
            positions = {shard: each for shard, each in self._logs.positions().items() if shard in partitions}
            checks = self._probe.check(positions)
            self._checked_at = now
            for partition, checked in checks.items():
                if partition not in self.stopped or checked.why is not None:
                    self._note(partition, checked)
            self._skip_markers(checks)
            self._probe.advance_heads(checks)
            return self._went_back(positions, furthest) or any(
                checks[partition].why is None and checks[partition].position.applied != stood_at
                for partition, stood_at in self._stopped_at.items()
                if partition in checks
            )

    def runs(self, partition: int, first: int, end: int, *, up_to_events: bool = False) -> Sequence[Run]:
        """Return the runs of the log from offset `first` up to before `end`, with the losses that were accepted.

        With `up_to_events`, those behind the first run that holds events are left out.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        accepted = [Run(at, until, False) for at, until in self._lost.get(partition, ())]
        runs = [*read_runs(self._kafka, partition, first, end, up_to_events=up_to_events), *accepted]
        return sorted(runs, key=lambda run: run.first)

    def note(self, marks: Mapping[int, Mark]) -> None:
        """Note the last record that was folded just now, by partition."""
        self._probe.note(marks)
        for partition, mark in marks.items():
            self._furthest[partition] = max(mark.offset, self._furthest.get(partition, -1))

    def stop(self, partition: int, why: str, applied: int | None) -> None:
        """Stop a partition, whose state stands at `applied`; raises Unreachable."""
        if self.stopped.get(partition) != why:
            log.error("stopped: %s", why)
        self.stopped[partition] = why
        self._stopped_at[partition] = applied
        self._metrics.stopped.labels(str(partition)).set(1)
        self._logs.set_stopped(partition, why)

    def close(self) -> None:
        """Close the connections."""
        self._probe.close()

    @staticmethod
    def _went_back(positions: Mapping[int, ShardPosition], furthest: Mapping[int, int]) -> bool:
        """Say whether a shard stands at an earlier offset than it did before its position was read."""
        return any(
            position.applied is not None and position.applied < furthest.get(partition, -1)
            for partition, position in positions.items()
        )

    def _note(self, partition: int, checked: Checked) -> None:
        position = checked.position
        if checked.position.applied is None:
            return
        if checked.why is not None:
            # None: the log itself may come back, and then the worker starts over wherever the state stands.
            self.stop(partition, checked.why, None)
            return
        if position.log is None:
            self._logs.remember(partition, checked.bounds.log)
        if position.stopped is not None:
            self._logs.set_stopped(partition, None)
        self._metrics.stopped.labels(str(partition)).set(0)

    def _skip_markers(self, checks: Mapping[int, Checked]) -> None:
        """Let the state pass the markers of transactions at the end of the log, after which no event comes."""
        for partition, checked in checks.items():
            applied, end = checked.position.applied, checked.bounds.end
            stood_at, since = self._last.get(partition, (None, 0.0))
            if applied is None or applied != stood_at:
                self._last[partition] = applied, time.monotonic()
                continue
            # A worker that is behind may take more than a second for a batch, and events of this partition may follow.
            if partition in self.stopped or end <= applied + 1 or time.monotonic() - since < IDLE_S:
                continue
            hole = applied + 1, end
            # A worker that is behind would read all that it has yet to fold, again and again.
            runs = self.runs(partition, *hole, up_to_events=True)
            if holds_events(hole, runs) or lost(hole, runs):
                continue
            with suppress(ShardLost):
                skip_to(self._profiles, partition, applied, end - 1)


def skip_to(profiles: Profiles, shard: int, applied: int, offset: int) -> None:
    """Let a shard that stands at `applied` pass offsets that hold no event.

    Raises:
        ShardLost: if another worker has changed the shard.
        Unreachable: if Redis does not answer.
    """
    transaction = profiles.begin(shard, Wanted())
    try:
        if transaction.state.applied == applied:
            transaction.commit(offset, Changes({}, {}, {}, {}))
            profiles.set_visible_offsets({shard: offset})
    finally:
        transaction.abandon()
