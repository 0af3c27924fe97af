"""The folder of the archive.

    <folder>/manifest.json                                  what the archive belongs to
    <folder>/history/{events,users,items}.parquet           the offline history, immutable
    <folder>/shard=<n>/<first>-<last>-<sha256>.parquet      records of partition n, immutable
    <folder>/former/<time>/                                 manifest and records of a log that was given up

The files of a partition follow each other without a gap, so their names alone say how far the archive is: a file is
there once it is renamed, and a writer that was killed begins again where the names end. Who changes the archive holds
the lock of `<folder>/lock`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from settings.locks import locked
from stores.archive import durable, manifest, record_file
from stores.archive.manifest import MANIFEST, Manifest
from stores.archive.record_file import RecordFile
from stores.errors import ArchiveError
from stores.kafka.epochs import Epochs
from stores.kafka.log_check import LogIdentity
from stores.kafka.record import Logged, Mark, fingerprint

FORMER = "former"
LOCK = "lock"


class Archive:
    """Reads and writes the archive in a folder, which is made with the first file.

    Args:
        folder: of the archive.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tails: dict[RecordFile, Mark | None] = {}

    def locked(self) -> AbstractContextManager[None]:
        """Hold the right to change the archive, against other processes and threads."""
        durable.make_folder(self.folder)
        return locked(self.folder / LOCK)

    def manifest(self) -> Manifest | None:
        """The manifest; None where there is no archive; raises ArchiveError if it cannot be read."""
        return manifest.read(self.folder)

    def log(self) -> LogIdentity | None:
        """The log whose records the archive holds; None before the first are archived."""
        found = self.manifest()
        return found.log if found else None

    def write_manifest(self, changed: Manifest) -> None:
        """Write the manifest; only for who holds the lock."""
        durable.make_folder(self.folder)
        manifest.write(self.folder, changed)

    def files(self, partition: int) -> list[RecordFile]:
        """The files of a partition, in order.

        Raises:
            ArchiveError: if one is missing between two others.
        """
        folder = self._shard(partition)
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        files = self._newest(sorted(filter(None, (RecordFile.parse(partition, name) for name in names))))
        for before, file in pairwise(files):
            if file.first != before.end:
                raise ArchiveError(
                    f"the archive {folder} holds offsets up to {before.end - 1} and from {file.first} on; restore the "
                    "files between them from a backup"
                )
        return files

    def bounds(self, partition: int) -> tuple[int, int] | None:
        """The first offset that the archive covers of a partition, and the one after the last; None if it has none."""
        files = self.files(partition)
        return (files[0].first, files[-1].end) if files else None

    def covers(self, partition: int, first: int, end: int) -> bool:
        """Return True if the archive covers the offsets from `first` to the one before `end`."""
        bounds = self.bounds(partition)
        return first >= end or (bounds is not None and bounds[0] <= first and end <= bounds[1])

    def read(self, file: RecordFile) -> list[Logged]:
        """Read the records of a file, or of the one that has replaced it; its hash is checked; raises ArchiveError."""
        if not self.path(file).exists():
            file = next((each for each in self.files(file.partition) if each.first == file.first), file)
        return record_file.read(self.path(file), file)

    def replace(self, file: RecordFile, records: Sequence[Logged]) -> RecordFile:
        """Write a file again with other records at the same offsets; only for who holds the lock.

        Until the former one is deleted, the newer of the two is read. Where the process is killed before, `settle`
        deletes it.
        """
        content = record_file.pack(records)
        written = replace(file, sha256=hashlib.sha256(content).hexdigest())
        durable.write(self.path(written), content)
        if written != file:
            self.path(file).unlink(missing_ok=True)
            durable.sync_folder(self._shard(file.partition))
        return written

    def settle(self) -> int:
        """Delete what processes have left that were killed: files that another one replaces, and halves of files.

        Only for who holds the lock.

        Returns:
            The replaced files that are deleted.

        Raises:
            ArchiveError: if a file is missing between two others, or one that replaces another is damaged.
        """
        deleted = 0
        for folder in sorted(self.folder.glob("shard=*")):
            durable.remove_leftovers(folder)
            partition = int(folder.name.removeprefix("shard="))
            newest = {(file.first, file.end): file for file in self.files(partition)}
            for path in sorted(folder.iterdir()):
                file = RecordFile.parse(partition, path.name)
                if file is not None and file != (kept := newest[file.first, file.end]):
                    self.read(kept)
                    path.unlink()
                    deleted += 1
            durable.sync_folder(folder)
        return deleted

    def _newest(self, files: Sequence[RecordFile]) -> list[RecordFile]:
        """Without files that another one replaces, which a process that was killed has left."""
        newest: dict[tuple[int, int], RecordFile] = {}
        for file in files:
            offsets = file.first, file.end
            if offsets not in newest or self._written(newest[offsets]) <= self._written(file):
                newest[offsets] = file
        return list(newest.values())

    def _written(self, file: RecordFile) -> float:
        """When a file was written, 0 where it is gone by now."""
        try:
            return self.path(file).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def tail(self, partition: int) -> Mark | None:
        """The last record of a partition in the archive; None if it holds none.

        Raises:
            ArchiveError: if a file is damaged.
        """
        for file in reversed(self.files(partition)):
            # A file never changes, and is too large to be read for its last record again and again.
            if file not in self._tails:
                records = self.read(file)
                self._tails[file] = _mark(records[-1]) if records else None
            if (tail := self._tails[file]) is not None:
                return tail
        return None

    def path(self, file: RecordFile) -> Path:
        """The path of a file of records."""
        return self._shard(file.partition) / file.name

    def append(self, partition: int, first: int, end: int, records: Sequence[Logged]) -> RecordFile:
        """Write a file of records; it survives a loss of power once this returns. Only for who holds the lock.

        Args:
            first: first offset that the file covers: the one at which the archive of the partition ends.
            end: the offset after the last.
            records: all records of the log in between.

        Raises:
            ArchiveError: if the archive ends elsewhere.
        """
        for _ in self.append_steps(partition, first, end, records):
            pass
        return self.files(partition)[-1]

    def append_steps(self, partition: int, first: int, end: int, records: Sequence[Logged]) -> Iterator[str]:
        """The steps of `append`; abandoned after any of them, the archive holds all of the file or nothing."""
        bounds = self.bounds(partition)
        if first >= end or (bounds is not None and bounds[1] != first):
            raise ArchiveError(
                f"offsets {first} to {end - 1} of partition {partition} do not follow the archive {self.folder}, which "
                f"ends at offset {bounds[1] if bounds else first}"
            )
        folder = self._shard(partition)
        durable.make_folder(self.folder)
        durable.make_folder(folder)
        durable.remove_leftovers(folder)
        yield "prepared"
        content = record_file.pack(records)
        file = RecordFile(partition, first, end, hashlib.sha256(content).hexdigest())
        yield from durable.write_steps(folder / file.name, content)

    def set_aside(self, log: LogIdentity | None = None, epochs: Epochs | None = None) -> Path | None:
        """Keep the records out of the way of another log; only for who holds the lock.

        The offline history stays. Called again after it was cut off, it sets aside the rest.

        Args:
            log: the log that follows, where it has had fewer partitions.
            epochs: its epochs.

        Returns:
            The folder in which they are now; None if there were none.
        """
        found = self.manifest()
        if found is None or found.log is None:
            return None
        former = self.folder / FORMER / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        durable.make_folder(former.parent)
        durable.make_folder(former)
        manifest.write(former, found.model_copy(update={"history": None}))
        for shard in sorted(self.folder.glob("shard=*")):
            shard.rename(former / shard.name)
        durable.sync_folder(former)
        kept = Manifest(history=found.history)
        self.write_manifest(kept.grown(log, epochs) if log is not None and epochs and epochs.ended else kept)
        return former

    def delete(self) -> None:
        """Delete everything; only for who holds the lock."""
        # The manifest last: files without one would belong to no log.
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == MANIFEST):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()

    def _shard(self, partition: int) -> Path:
        return self.folder / f"shard={partition}"


def _mark(record: Logged) -> Mark:
    return Mark(record.offset, fingerprint(record.created, record.key, record.value))
