"""aiokafka: header names that are not UTF-8, records that decompress to much more, aborted transactions, and waits.

- Header names: see `compat.kafka_python`. The batches of aiokafka are compiled and cannot be changed. Where one cannot
  be read, the fetched bytes are read again by the same code in Python, which can.
- Records that compress well: a fetch of 1 MiB may hold a hundred records of 10 MiB. They are unpacked as they are
  taken, and no more are taken at once than MOST_BYTES have.
- Aborted transactions, and how long a fetch waits: Faust passes values of its own (`compat.faust`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from compat.kafka_python import tolerant

TESTED = {"aiokafka": "0.14.0"}

MOST_BYTES = 4 * 2**20
"""Size of the records of a partition from which on no more are taken at once."""

UNPATCHED_RECORDS = fetcher.MemoryRecords
UNPATCHED_TAKE = fetcher.FetchResult.getall


class _Batch:
    """A batch whose records can be read whatever the names of their headers."""

    def __init__(self, batch: Any, fetched: bytes, number: int) -> None:
        self._batch, self._fetched, self._number = batch, fetched, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from self._again()[read:]

    def _again(self) -> list[Any]:
        batches = _MemoryRecordsPy(self._fetched)
        for _ in range(self._number):
            batches._cache_next()
        return list(_DefaultRecordBatchPy(batches._next_slice))


class Records:
    """Records that a fetch has brought from a partition."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched, self._batches, self._number = fetched, UNPATCHED_RECORDS(fetched), -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batches, name)

    def next_batch(self) -> Any:
        """The next batch; None after the last."""
        self._number += 1
        batch = self._batches.next_batch()
        return None if batch is None else _Batch(batch, self._fetched, self._number)


def size_of(record: Any) -> int:
    """Bytes of a record's key, value and headers."""
    size = len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers or ():
        size += len(name) + len(value or b"")
    return size


def take(self: Any, max_records: int | None = None) -> list[Any]:
    """`FetchResult.getall`, which takes no more than MOST_BYTES and a record."""
    if not self.check_assignment(self._topic_partition) or not self.has_more():
        return []
    taken: list[Any] = []
    size = 0
    for record in self._partition_records:
        taken.append(record)
        size += size_of(record)
        if len(taken) == max_records or size >= MOST_BYTES:
            self._update_position()
            return taken
    self._update_position()
    self._partition_records = None
    return taken


def tolerate_any_record() -> None:
    """Have aiokafka read headers of any name, and bound what it unpacks at once."""
    if fetcher.MemoryRecords is not Records:
        _DefaultRecordBatchPy._read_msg = tolerant(_DefaultRecordBatchPy._read_msg)
        fetcher.MemoryRecords = Records
        fetcher.FetchResult.getall = take


def wait_at_most(consumer: Any, ms: int) -> None:
    """Have a consumer that has not started wait so long for records in each fetch, of which it sends one at a time."""
    consumer._fetch_max_wait_ms = ms


def read_committed(consumer: Any) -> None:
    """Have a consumer that has not started skip the events of aborted transactions."""
    consumer._isolation_level = "read_committed"
