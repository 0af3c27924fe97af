"""Follows the log and writes it to the archive: full files at once, the rest when it has waited long enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from settings import Settings
from stores import StateStores
from stores.archive.archive import Archive
from stores.archive.archiving import next_offset, write_file
from stores.archive.continuation import require_own_archive
from stores.kafka.log import Log
from stores.kafka.log_check import NO_TOPIC, LogBounds
from stores.kafka.log_probe import LogProbe
from stores.redis.shard_log import ShardLogs

Progress = Callable[[int, int], None]
"""Called with the offsets that are archived, and with those that there are to archive."""


@dataclass(frozen=True)
class Position:
    """Progress of the archive of a partition.

    Attributes:
        partition: its number.
        first: first offset that the archive covers.
        end: the offset after the last.
        waiting: offsets of the log that are not archived.
        files: that the archive has.
    """

    partition: int
    first: int
    end: int
    waiting: int
    files: int


class Archiver:
    """Writes the log to the archive; several, in different processes, take turns.

    Args:
        settings: all settings.
        stopping: asked between two files whether to write no more.
    """

    def __init__(self, settings: Settings, stopping: Callable[[], bool] = lambda: False) -> None:
        self._settings, self._stopping = settings, stopping
        self._archive = Archive(settings.archive_folder)
        self._probe = LogProbe(settings.kafka, settings.log_heads)
        self._log: Log | None = None

    def write(self, everything: bool, progress: Progress = lambda done, total: None) -> int:
        """Write what waits.

        Args:
            everything: up to the end of the log; else only full files, and what has waited for `archive.minutes`.
            progress: told of each file.

        Returns:
            Files written.

        Raises:
            ArchiveError: if the log is not that of the archive, or lacks events that were not archived.
            Unreachable: if a store does not answer.
        """
        bounds = require_own_archive(self._archive, self._probe)
        if bounds[0].log.topic == NO_TOPIC:
            return 0
        waiting = {partition: self._waiting(each) for partition, each in bounds.items()}
        total, done, files = sum(waiting.values()), 0, 0
        for partition, offsets in waiting.items():
            left = offsets
            while not self._stopping() and self._must_write(partition, left, everything):
                archived = self._write_one(partition)
                if archived == 0:
                    break
                left -= archived
                done += archived
                files += 1
                progress(done, total)
        return files

    def _must_write(self, partition: int, waiting: int, everything: bool) -> bool:
        """Return True if a file of a partition is due."""
        full = waiting >= self._settings.archive.events
        return full or (waiting > 0 and (everything or self._is_old(partition)))

    def positions(self) -> list[Position]:
        """Return the progress of the archive of each partition, compared with the log as it is now.

        Raises:
            ArchiveError: if the archive is damaged.
            Unreachable: if Kafka does not answer.
        """
        positions = []
        for partition, bounds in self._probe.bounds().items():
            covered = self._archive.bounds(partition) or (bounds.start, bounds.start)
            files = len(self._archive.files(partition))
            positions.append(Position(partition, *covered, max(0, bounds.end - covered[1]), files))
        return positions

    def close(self) -> None:
        """Close the connections."""
        self._probe.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _waiting(self, bounds: LogBounds) -> int:
        return bounds.end - next_offset(self._archive, bounds, self._accepted)

    def _is_old(self, partition: int) -> bool:
        """Return True if the newest file of a partition is older than `archive.minutes`, or if there is none."""
        files = self._archive.files(partition)
        if not files:
            return True
        age_s = time.time() - self._archive.path(files[-1]).stat().st_mtime
        return age_s >= 60 * self._settings.archive.minutes

    def _write_one(self, partition: int) -> int:
        """Write the next file of a partition; the offsets that it covers, 0 where nothing waits."""
        try:
            self._log = self._log or Log(self._settings.kafka)
            with self._archive.locked():
                file = write_file(
                    self._settings.kafka,
                    self._archive,
                    self._log,
                    self._probe,
                    partition,
                    self._settings.archive.events,
                    self._accepted,
                )
        except BaseException:
            # A reader that failed knows the partitions of a topic that may be another by now.
            self.close()
            raise
        return file.end - file.first if file else 0

    def _accepted(self, partition: int) -> Sequence[tuple[int, int]]:
        """Runs of offsets that the live state is known to lack."""
        profiles = StateStores.live(self._settings).profiles
        try:
            return ShardLogs(profiles).position(partition).lost
        finally:
            profiles.client.close()
