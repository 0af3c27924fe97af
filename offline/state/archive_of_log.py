"""The archive as `adopt` sees it: whether it belongs to the log as it is now, and what it holds of it."""

from __future__ import annotations

from collections.abc import Mapping

from settings import Settings
from stores.archive.archive import Archive
from stores.archive.continuation import compare
from stores.archive.whole_log import first_offset
from stores.kafka.log_check import LogBounds
from stores.kafka.log_probe import LogProbe


class ArchiveOfLog:
    """The archive, compared with a log.

    Args:
        settings: all settings.
        probe: asks Kafka for single records.
        bounds: the log, read just before.

    Attributes:
        first: by partition, the offset from which on archive and log together hold every record.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """

    def __init__(self, settings: Settings, probe: LogProbe, bounds: Mapping[int, LogBounds]) -> None:
        self._archive = Archive(settings.archive_folder)
        self._other = compare(self._archive, probe)[0] is not None
        self.first = {
            partition: each.start if self._other else first_offset(self._archive, each)
            for partition, each in bounds.items()
        }

    def set_aside_if_other(self) -> bool:
        """Keep the records of another log, or of one that has lost its end, out of the way of this one; True if so."""
        if not self._other:
            return False
        with self._archive.locked():
            return self._archive.set_aside() is not None
