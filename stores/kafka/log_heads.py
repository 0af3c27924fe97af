"""The furthest record of each partition of the log that anyone on this machine has seen: its head.

An event can be acknowledged and lost before it is folded. Then neither the state nor the log tells that it ever was;
this file does: whoever is told an offset by Kafka, as an acknowledgement or with the records that it reads, notes it
here, with a fingerprint of the record. The file is mapped into memory, so that noting is cheap and a process that is
killed loses nothing.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stores.kafka.record import Mark

log = logging.getLogger("reelstream")

SLOT = struct.Struct("<qQ")
"""The offset after a record, 0 for none, and the record's fingerprint."""

HEAD, LOST, PROVED = range(3)
"""Slots of a partition: the furthest record noted, a record known to be lost, and the head at the last passed check."""

RECENT = 1024
"""Records of each partition that are remembered besides, each in the slot of its offset modulo this number."""

SLOTS = 3 + RECENT

LAYOUT = "v2"
"""Ends the name of a file. A file of another layout is left alone: its notes are no promise, only a further witness."""


class LogHeads:
    """Reads and moves the heads of one log; safe to share between threads and processes.

    A log that lost its end and has grown again gives new records the offsets of old ones. That shows where a new one is
    noted at the offset of an old one, which is remembered as a conflict, or where the log holds another record in the
    place of the head at the last passed check, though the head has moved on by then. Notes come in any order: a worker
    that catches up notes records far behind those that Kafka is acknowledging.

    If the folder cannot be written, nothing is remembered: the state alone then decides.

    Args:
        folder: where the files of all logs are.
        topic: id of the topic, which names the file: a topic that is created again begins with a file of its own.
        partitions: of the topic, of which there may be more later; notes about those are passed over.

    Attributes:
        partitions: see there.
    """

    def __init__(self, folder: Path, topic: str, partitions: int) -> None:
        self.partitions = partitions
        self._lock = threading.Lock()
        self._memory: mmap.mmap | None = None
        self._file = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / f"{topic}.{LAYOUT}", os.O_RDWR | os.O_CREAT, 0o600)
            size = SLOT.size * SLOTS * partitions
            if os.fstat(self._file).st_size < size:
                os.ftruncate(self._file, size)
            self._memory = mmap.mmap(self._file, size)
        except OSError as error:
            log.warning("heads of the log are not noted in %s: %s", folder, error)

    def read(self) -> dict[int, Mark]:
        """The head of each partition; without partitions of which nobody has seen a record."""
        return self._marks(HEAD)

    def proved(self) -> dict[int, Mark]:
        """The head of each partition at its last passed check."""
        return self._marks(PROVED)

    def lost(self) -> dict[int, Mark]:
        """A record that is known to be lost, of each partition in conflict."""
        return self._marks(LOST)

    def _marks(self, slot: int) -> dict[int, Mark]:
        if self._memory is None:
            return {}
        with self._alone():
            marks = {partition: self._get(partition, slot) for partition in range(self.partitions)}
        return {partition: mark for partition, mark in marks.items() if mark is not None}

    def note(self, marks: Mapping[int, Mark]) -> None:
        """Note records that the log holds."""
        if self._memory is None:
            return
        with self._alone():
            for partition, mark in self._known(marks):
                slot = SLOTS - RECENT + mark.offset % RECENT
                known, head = self._get(partition, slot), self._get(partition, HEAD)
                if known is not None and known.offset == mark.offset and known != mark:
                    self._set(partition, LOST, known)
                if known is None or known.offset <= mark.offset:
                    self._set(partition, slot, mark)
                if head is None or mark.offset > head.offset:
                    self._set(partition, HEAD, mark)

    def prove(self, marks: Mapping[int, Mark]) -> None:
        """Remember heads that the log was found to hold."""
        if self._memory is None:
            return
        with self._alone():
            for partition, mark in self._known(marks):
                self._set(partition, PROVED, mark)

    def forget(self, partition: int) -> None:
        """Forget the records of a partition, once what it lost is reported."""
        if self._memory is not None and partition < self.partitions:
            with self._alone():
                start, size = self._place(partition, 0), SLOT.size * SLOTS
                self._memory[start : start + size] = bytes(size)

    def _known(self, marks: Mapping[int, Mark]) -> list[tuple[int, Mark]]:
        return [(partition, mark) for partition, mark in marks.items() if partition < self.partitions]

    def _place(self, partition: int, slot: int) -> int:
        return SLOT.size * (SLOTS * partition + slot)

    def _get(self, partition: int, slot: int) -> Mark | None:
        """The mark in a slot; None where nothing is noted."""
        assert self._memory is not None
        end, fingerprint = SLOT.unpack_from(self._memory, self._place(partition, slot))
        return Mark(end - 1, f"{fingerprint:016x}") if end else None

    def _set(self, partition: int, slot: int, mark: Mark) -> None:
        assert self._memory is not None
        SLOT.pack_into(self._memory, self._place(partition, slot), mark.offset + 1, int(mark.fingerprint, 16))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
