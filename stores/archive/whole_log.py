"""The whole log: the records of the archive, then those of the log in Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from settings import Settings
from stores.archive.archive import Archive
from stores.archive.continuation import require_own_archive
from stores.archive.manifest import Manifest
from stores.errors import LogError, Trimmed
from stores.kafka.log import Log
from stores.kafka.log_check import LogBounds
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Logged

TRIES = 100
"""Times that the log may be trimmed behind a reader, which then goes on in the archive."""


class WholeLog:
    """A reader of the topic of the events, as `stores.kafka.log.Log` is, that begins in the archive.

    An offset that the archive covers is read from it, whether Kafka still holds it or not. Where the log is trimmed
    while it is read, the archive has what is missing, and reading goes on there.

    Attributes:
        epochs: those of the log; whoever folds it from its beginning reads one after the other (`Epochs.stages`).

    Raises:
        ArchiveError: if the archive is damaged, or that of another log.
        Unreachable: if Kafka does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._archive = Archive(settings.archive_folder)
        self._bounds = log_bounds(settings)
        self._manifest = self._archive.manifest() or Manifest()
        self.epochs = self._manifest.log_epochs(len(self._bounds))
        self._log = Log(settings.kafka)
        self._at = {partition: self._begin(partition) for partition in self._bounds}
        self._log_at: dict[int, int] | None = None

    def require_epochs(self, ended: int) -> None:
        """Require that so many epochs are known to have ended, as is noted with the state; raises ArchiveError."""
        self._manifest.require_epochs(ended)

    def ends(self) -> dict[int, int]:
        """Offset after the last event of each partition."""
        return self._log.ends()

    def begins(self) -> dict[int, int]:
        """Offset of the first event of each partition in the archive, or in the log where it is in no archive."""
        return {partition: self._begin(partition) for partition in self._bounds}

    def begins_in_kafka(self) -> dict[int, int]:
        """Offset of the first event of each partition that Kafka holds; the archive alone has those before."""
        return self._log.begins()

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets; partitions that are not named from their beginning.

        Raises:
            LogError: if neither the archive nor the log holds an offset.
        """
        for partition, begin in self.begins().items():
            self._at[partition] = offsets.get(partition, begin)
            if self._at[partition] < begin:
                raise LogError(
                    f"partition {partition}: archive and log begin at offset {begin}, but are read from offset "
                    f"{self._at[partition]}; restore the archive from a backup"
                )
        self._log_at = None

    def read_to(self, ends: Mapping[int, int]) -> Iterator[Sequence[Logged]]:
        """Batches of events up to the offsets before `ends`, in the order of the offsets within a partition.

        Raises:
            ArchiveError: if the archive is damaged.
            LogError: if events were deleted from the log before they were archived.
            Unreachable: if Kafka does not answer, or delivers nothing for a while.
        """
        for _ in range(TRIES):
            yield from self._read_archive(ends)
            try:
                yield from self._read_log(ends)
                return
            except Trimmed:
                self._bounds = log_bounds(self._settings)
                if all(self._bounds[partition].start <= at for partition, at in self._at.items()):
                    raise  # it is the end of the log that is gone
                self.seek(dict(self._at))
        raise LogError("the log is trimmed faster than it can be read; stop `reelstream archive --trim` and try again")

    def close(self) -> None:
        """Close the connection."""
        self._log.close()

    def _begin(self, partition: int) -> int:
        """Offset of the first event of a partition from which on archive and log hold all."""
        return first_offset(self._archive, self._bounds[partition])

    def _read_archive(self, ends: Mapping[int, int]) -> Iterator[Sequence[Logged]]:
        for partition, end in ends.items():
            for file in self._archive.files(partition) if self._at.get(partition, end) < end else ():
                at = self._at[partition]
                if file.end <= at or file.first >= end:
                    continue
                # What Kafka holds from its beginning on is read there where the archive begins later.
                if file.first > at:
                    break
                records = [record for record in self._archive.read(file) if at <= record.offset < end]
                self._at[partition] = min(file.end, end)
                self._log_at = None
                yield records

    def _read_log(self, ends: Mapping[int, int]) -> Iterator[Sequence[Logged]]:
        ends = {partition: max(at, ends.get(partition, 0)) for partition, at in self._at.items()}
        if ends == self._at:
            return
        if self._log_at != self._at:
            self._log.seek(self._at)
        for records in self._log.read_to(ends):
            if records:
                self._at[records[-1].partition] = records[-1].offset + 1
            yield records
        # Behind the last event of a partition there may be a transaction's marker, which no reader is given.
        self._at = ends
        self._log_at = dict(ends)


def log_bounds(settings: Settings) -> dict[int, LogBounds]:
    """Read the bounds of the log, after checking that the archive belongs to it.

    Raises:
        ArchiveError: if it does not, or is damaged.
        Unreachable: if Kafka does not answer.
    """
    probe = LogProbe(settings.kafka, settings.log_heads)
    try:
        return require_own_archive(Archive(settings.archive_folder), probe)
    finally:
        probe.close()


def first_offset(archive: Archive, bounds: LogBounds) -> int:
    """Offset of the first event of a partition from which on archive and log hold all.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    covered = archive.bounds(bounds.partition)
    if covered is not None and covered[0] <= bounds.start <= covered[1]:
        return covered[0]
    return bounds.start
