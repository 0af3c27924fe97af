"""Keeps a worker from folding a log that is not the one its state was folded from.

A partition whose log fails the check of `stores.log_check`, or lacks events that the state needs next, is stopped: its
records are left alone, the reason is noted in Redis for everyone who reports it, and the other partitions go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping

from settings import KafkaSettings
from stores import Changes, Profiles, ShardLost
from stores.batch_headers import holds_events, lost, read_runs
from stores.log_check import Checked, LogProbe
from stores.shard_log import ShardLogs
from stream.metrics import Metrics

log = logging.getLogger("reelstream.stream")


class LogGuard:
    """Checks the log of a worker's partitions, and remembers which are stopped.

    Its methods block. Where they say so, they raise Unreachable if Kafka or Redis does not answer.

    Args:
        settings: of Kafka.
        profiles: the state.
        metrics: of the worker.

    Attributes:
        stopped: by partition, the reason why it is stopped.
    """

    def __init__(self, settings: KafkaSettings, profiles: Profiles, metrics: Metrics) -> None:
        self._settings, self._profiles, self._metrics = settings, profiles, metrics
        self._logs = ShardLogs(profiles)
        self._probe = LogProbe(settings)
        self._lock = threading.Lock()
        self._stopped_at: dict[int, int | None] = {}
        self._last: dict[int, int | None] = {}
        self.stopped: dict[int, str] = {}

    def start(self) -> None:
        """Check all partitions before any of them is read; raises Unreachable."""
        with self._lock:
            self.stopped, self._stopped_at, self._last = {}, {}, {}
            positions = self._logs.positions()
            if any(position.applied is not None for position in positions.values()):
                for partition, checked in self._probe.check(positions).items():
                    self._note(partition, checked)

    def watch(self, partitions: Collection[int]) -> bool:
        """Check the partitions that the worker holds while it reads them; raises Unreachable.

        Returns:
            Whether a stopped partition can go on, for which the worker must start over.
        """
        with self._lock:
            positions = {shard: each for shard, each in self._logs.positions().items() if shard in partitions}
            checks = self._probe.check(positions)
            for partition, checked in checks.items():
                if partition not in self.stopped or checked.mismatch is not None:
                    self._note(partition, checked)
            self._skip_markers(checks)
            return any(
                checks[partition].mismatch is None and checks[partition].position.applied != stood_at
                for partition, stood_at in self._stopped_at.items()
                if partition in checks
            )

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

    def _note(self, partition: int, checked: Checked) -> None:
        position = checked.position
        if checked.mismatch is not None:
            # None: the log itself may come back, and then the worker starts over wherever the state stands.
            self.stop(partition, checked.mismatch, None)
            return
        if position.applied is not None and (position.log is None or position.anchor != position.tail):
            self._logs.remember(partition, checked.bounds.log, position.tail)
        if position.stopped is not None:
            self._logs.set_stopped(partition, None)
        self._metrics.stopped.labels(str(partition)).set(0)

    def _skip_markers(self, checks: Mapping[int, Checked]) -> None:
        """Let the state pass the markers of transactions at the end of the log, after which no event comes."""
        for partition, checked in checks.items():
            applied, end = checked.position.applied, checked.bounds.end
            idle = applied is not None and self._last.get(partition) == applied
            self._last[partition] = applied
            if applied is None or partition in self.stopped or not idle or end <= applied + 1:
                continue
            hole = applied + 1, end
            runs = read_runs(self._settings, partition, *hole)
            if holds_events(hole, runs) or lost(hole, runs):
                continue
            transaction = self._profiles.begin(partition, [])
            try:
                if transaction.applied == applied:
                    transaction.commit(end - 1, Changes({}, {}, {}, {}))
                    self._profiles.set_served({partition: end - 1})
            except ShardLost:
                continue
            finally:
                transaction.abandon()
