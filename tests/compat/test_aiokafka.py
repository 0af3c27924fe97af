"""aiokafka still has the defects that are patched, and the private parts that the patches use."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.structs import TopicPartition

from compat.aiokafka import MOST_BYTES, UNPATCHED_RECORDS, UNPATCHED_TAKE, read_committed, size_of, take
from tests.compat.private import parameters
from tests.compat.test_headers import Everything, fetched, name

PART = TopicPartition("ratings", 0)


def test_without_the_patch_a_name_that_is_not_utf_8_stops_the_reader() -> None:
    batch = UNPATCHED_RECORDS(fetched([[[(name(b"\xff"), b"1")]]], 0)).next_batch()
    with pytest.raises(UnicodeDecodeError):
        list(batch)


def test_the_same_bytes_can_be_read_again_in_python() -> None:
    records = _MemoryRecordsPy(fetched([[[]], [[]]], 0))
    first = bytes(records._next_slice)
    records._cache_next()
    assert records._next_slice not in (None, first)
    assert parameters(_DefaultRecordBatchPy._read_msg) == "self, args"


def test_without_the_patch_all_that_a_fetch_brought_is_unpacked_at_once() -> None:
    raw = fetched([[[(name(b"large"), bytes(2**20))]] for _ in range(8)], 1)
    result = result_of(raw)
    taken = UNPATCHED_TAKE(result, 500)
    assert sum(map(size_of, taken)) > MOST_BYTES, "`getall` bounds what it takes by itself now"
    assert parameters(UNPATCHED_TAKE) == parameters(take) == "self, max_records"


def result_of(raw: bytes) -> fetcher.FetchResult:
    records = fetcher.PartitionRecords(PART, UNPATCHED_RECORDS(raw), [], 0, None, None, True, 1)
    result = fetcher.FetchResult(PART, assignment=Everything(), partition_records=records, backoff=0)
    assert (result._topic_partition, result._partition_records) == (PART, records)
    assert parameters(result._update_position) == ""
    return result


def test_the_isolation_level_of_a_consumer_can_be_set_before_it_starts() -> None:
    async def levels() -> tuple[str, str]:
        consumer = AIOKafkaConsumer(isolation_level="read_uncommitted")
        before = consumer._isolation_level
        read_committed(consumer)
        after = consumer._isolation_level
        await consumer.stop()
        return before, after

    assert asyncio.run(levels()) == ("read_uncommitted", "read_committed")
