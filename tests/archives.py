"""The archive in tests: writing all of it, and reading it back."""

from __future__ import annotations

from contextlib import closing

from settings import Settings
from stores import Logged
from stores.archive.archive import Archive
from stream.archive.archiver import Archiver


def archive_all(settings: Settings) -> int:
    """Archive the log up to its end; the number of files written."""
    with closing(Archiver(settings)) as archiver:
        return archiver.write(everything=True)


def archived(settings: Settings) -> list[Logged]:
    """All records of the archive, by partition."""
    return records_of(Archive(settings.archive_folder), settings.kafka.partitions)


def records_of(archive: Archive, partitions: int) -> list[Logged]:
    """All records of an archive, by partition."""
    return [
        record for partition in range(partitions) for file in archive.files(partition) for record in archive.read(file)
    ]
