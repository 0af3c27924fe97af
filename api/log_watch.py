"""The comparison of the log with the state, for the API: which partitions are stopped, whoever noticed it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from api.appending import Appending
from settings import Settings
from stores import LogError, Profiles, StoreError
from stores.kafka.log_check import ShardPosition
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark
from stores.kafka.topics import CHANGE_PARTITIONS
from stores.redis.shard_log import ShardLogs

log = logging.getLogger("reelstream.api")

EVERY_S = 2.0
"""Seconds between two comparisons."""


class LogWatch:
    """Keeps `stopped` current. It stays as it was while Kafka or Redis is down.

    A worker compares records too, and notes its findings in Redis; here only identities and ends are compared, so that
    a log that is not the state's own is known while no worker runs.

    Args:
        settings: all settings.
        profiles: gives the state that is live.
        appending: tells how events are appended.

    Attributes:
        stopped: by partition, the reason why it is stopped.
    """

    def __init__(
        self, settings: Settings, profiles: Callable[[], Profiles], appending: Callable[[], Appending]
    ) -> None:
        self._probe = LogProbe(settings.kafka, settings.log_heads)
        self._profiles, self._appending = profiles, appending
        self.stopped: dict[int, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="log watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def positions(self, partitions: Collection[int]) -> Mapping[int, ShardPosition]:
        """The places of the shards of some partitions in the log; none if Redis does not answer.

        Raises:
            LogError: if one of the partitions is stopped.
        """
        if why := next((self.stopped[each] for each in partitions if each in self.stopped), None):
            raise LogError(why)
        try:
            positions = ShardLogs(self._profiles()).positions(partitions)
        except StoreError:
            return {}
        if why := next((each.stopped for each in positions.values() if each.stopped is not None), None):
            raise LogError(why)
        return positions

    def require_new(self, partition: int, mark: Mark, before: ShardPosition | None) -> None:
        """Require that an event just appended is one that its state, as it was `before`, does not take for an old one.

        Raises:
            LogError: if it is at or below the offset that the state was folded up to.
        """
        if before is not None and before.applied is not None and mark.offset <= before.applied:
            why = (
                f"partition {partition}: the log has just appended offset {mark.offset}, but the state was folded up "
                f"to offset {before.applied}; see `reelstream status`"
            )
            self.stopped = {**self.stopped, partition: why}
            raise LogError(why)
        self._probe.note({partition: mark})

    def look(self) -> None:
        """Compare once.

        Raises:
            Unreachable: if Kafka or Redis does not answer.
        """
        # Workers compare the tail; without one no record is read.
        stored = ShardLogs(self._profiles()).positions()
        positions = {partition: replace(each, tail=None) for partition, each in stored.items()}
        checks = self._probe.check(positions)
        stopped = {
            partition: why
            for partition, checked in checks.items()
            if checked.position.applied is not None and (why := checked.position.stopped or checked.why) is not None
        }
        if why := self._other_partitions(len(positions)):
            stopped |= dict.fromkeys(positions, why)
        for partition in stopped.keys() - self.stopped.keys():
            log.error("stopped: %s", stopped[partition])
        self.stopped = stopped

    def _other_partitions(self, shards: int) -> str | None:
        """Why events cannot be appended by the number of partitions that is known here; None where they can.

        The log may have more than the state has shards, while `reelstream rebuild` changes their number.
        """
        actual, appending = self._probe.partitions, self._appending()
        if actual is None or actual == shards or (appending.noted and actual > shards):
            return None
        return f"the log has {actual} partitions, but kafka.partitions is {shards}; {CHANGE_PARTITIONS}"

    def _watch(self) -> None:
        while True:
            try:
                self.look()
            except StoreError as error:
                log.info("the log is not compared with the state: %s", error)
            except Exception:
                log.exception("unexpected error; trying again")
            if self._stopping.wait(EVERY_S):
                self._probe.close()
                return
