"""Headers of any name and any value are read by both client libraries."""

from __future__ import annotations

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import TopicPartition
from kafka.record import MemoryRecords

from compat.aiokafka import tolerate_any_record
from compat.kafka_python import tolerate_any_header

tolerate_any_header()
tolerate_any_record()

NAMES = [b"fine", b"\xff\xfe", b"", "é".encode(), b"\xc3", b"x" * 1000]


class Name(str):
    """A name that is encoded as the bytes it was made of."""

    raw: bytes

    def encode(self, *_: object) -> bytes:
        return self.raw


def name(raw: bytes) -> Name:
    made = Name(raw.decode("latin-1"))
    made.raw = raw
    return made


def fetched(batches: list[list[list[tuple[Name, bytes | None]]]], compression: int) -> bytes:
    """Bytes that a fetch brings: batches of records with these headers."""
    out, offset = bytearray(), 0
    for records in batches:
        builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, 0, 1 << 20)
        for number, of_record in enumerate(records):
            builder.append(number, 5, b"key", b"value", of_record)
        batch = builder.build()
        batch[:8] = offset.to_bytes(8, "big")
        out += batch
        offset += len(records)
    return bytes(out)


CASES = [
    [[[(name(raw), b"value")]] for raw in NAMES],
    [[[(name(raw), b"value")] for raw in NAMES]],
    [[[(name(raw), None) for raw in NAMES], [], [(name(b"\xff"), b"1")] * 3], [[]], [[(name(b"\xfe"), None)]]],
]


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("batches", CASES, ids=["one each", "one batch", "mixed"])
def test_every_record_is_read_whatever_its_headers_are_called(batches, compression: int) -> None:
    raw = fetched(batches, compression)
    expected = [
        [(key.raw.decode(errors="backslashreplace"), value) for key, value in of_record]
        for records in batches
        for of_record in records
    ]
    kafka_python, records = [], MemoryRecords(raw)
    while records.has_next():
        kafka_python += [list(record.headers) for record in records.next_batch()]
    assert kafka_python == expected
    part = fetcher.PartitionRecords(
        TopicPartition("ratings", 0), fetcher.MemoryRecords(raw), [], 0, None, None, True, fetcher.READ_COMMITTED
    )
    read = list(part)
    assert [list(record.headers) for record in read] == expected
    assert [record.offset for record in read] == list(range(len(expected)))
    assert part.next_fetch_offset == len(expected)


def test_no_more_is_unpacked_at_once_than_fits_in_memory() -> None:
    records = [[(name(b"large"), bytes(2**20))] for _ in range(30)]
    raw = fetched([[record] for record in records], 1)
    assert len(raw) < 60_000
    part = TopicPartition("ratings", 0)
    left = fetcher.PartitionRecords(part, fetcher.MemoryRecords(raw), [], 0, None, None, True, 1)
    result = fetcher.FetchResult(part, assignment=Everything(), partition_records=left, backoff=0)
    taken = []
    while result.has_more():
        taken.append(len(result.getall(500)))
    assert max(taken) == 4
    assert sum(taken) == 30


class Everything:
    """An assignment that has every partition, at the position that is asked for."""

    active, paused, position = True, False, 0

    def state_value(self, _: TopicPartition) -> Everything:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position
