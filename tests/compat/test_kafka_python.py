"""kafka-python still has the defects that are patched, and the private parts that the patches use."""

from __future__ import annotations

import socket
import threading

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord, Fetcher, IsolationLevel
from kafka.errors import CorruptRecordError, KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.producer.sender import Sender
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords
from kafka.structs import TopicPartition

from compat.kafka_python import BatchRuns, Network, connect, tolerate_any_header
from tests.compat.private import parameters
from tests.compat.test_headers import fetched, name
from tests.servers_fixture import free_ports

TOPIC = TopicPartition("ratings", 0)
CONTROL = 1 << 5
"""The bit of a batch's attributes that makes it a marker of a transaction."""


def test_without_the_patch_a_name_that_is_not_utf_8_stops_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    tolerate_any_header()
    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", DefaultRecordBatch.unpatched_read)
    records = MemoryRecords(fetched([[[(name(b"\xff"), b"1")]]], 0))
    with pytest.raises(CorruptRecordError, match="UnicodeDecodeError"):
        list(records.next_batch())


def test_the_reader_of_a_record_is_as_it_was() -> None:
    assert parameters(DefaultRecordBatch.unpatched_read) == "self, decode_varint"
    assert hasattr(MemoryRecords(fetched([[[]]], 0)).next_batch(), "_buffer")


@pytest.mark.parametrize("kind", [KafkaAdminClient, KafkaConsumer])
def test_a_client_that_cannot_be_created_leaves_a_thread_unless_it_is_closed_here(kind: type) -> None:
    options = {"bootstrap_servers": f"127.0.0.1:{free_ports(1)[0]}", "bootstrap_timeout_ms": 200}
    before = set(threading.enumerate())
    networks = []

    def network(**configs: object) -> KafkaNetClient:
        networks.append(KafkaNetClient(**configs))
        return networks[-1]

    with pytest.raises(KafkaError):
        kind(kafka_client=network, **options)
    left = set(threading.enumerate()) - before
    for each in networks:
        each.close()
    assert left, f"{kind.__name__} closes what it cannot use by itself now: `connect` needs no networks of its own"
    with pytest.raises(KafkaError):
        connect(kind, **options)
    assert set(threading.enumerate()) - before - left == set()


@pytest.mark.parametrize(("kind", "closed"), [(KafkaNetClient, False), (Network, True)])
def test_without_the_patch_a_socket_that_waits_stays_open(kind: type[KafkaNetClient], closed: bool) -> None:
    client = kind(bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")
    waiting, other = socket.socketpair()

    async def wait() -> None:
        await client._net.wait_read(waiting)

    with waiting, other:
        client._net.call_soon(wait)
        client._net.drain()
        client.close()
        assert (waiting.fileno() == -1) is closed
    assert parameters(KafkaNetClient.close) == "self, node_id"
    assert parameters(client._manager.close) == "node_id, timeout_ms"


def test_a_producer_can_be_stopped_without_waiting() -> None:
    assert parameters(Sender.force_close) == "self"


def test_a_record_has_the_fields_that_a_run_is_put_in() -> None:
    assert ConsumerRecord._fields[:8] == (
        "topic",
        "partition",
        "leader_epoch",
        "offset",
        "timestamp",
        "timestamp_type",
        "key",
        "value",
    )
    assert len(ConsumerRecord._fields) == 13


def test_the_fetcher_has_the_parts_that_runs_are_read_with() -> None:
    part = Fetcher.PartitionRecords
    assert parameters(part._unpack_records) == "self, tp, records, key_deserializer, value_deserializer"
    assert parameters(part._consume_aborted_transactions_up_to) == "self, offset"
    assert parameters(part._contains_abort_marker) == "self, batch"
    assert parameters(part._is_batch_aborted) == "self, batch"
    made = part(0, TOPIC, MemoryRecords(b""))
    assert (made.fetch_offset, made.next_fetch_offset, made.aborted_producer_ids) == (0, 0, set())


def test_only_runs_tell_of_the_marker_of_a_transaction() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, True, 7, 0, 0, 1 << 16)
    builder.append(0, 5, bytes(4), bytes(6), [])
    marker = builder.build()
    header = bytearray(marker)
    header[22] |= CONTROL

    def read(kind: type) -> list[ConsumerRecord]:
        options = {"check_crcs": False, "isolation_level": IsolationLevel.READ_COMMITTED}
        return kind(0, TOPIC, MemoryRecords(bytes(header)), **options).take()

    assert read(Fetcher.PartitionRecords) == [], "the client gives out markers now: `BatchRuns` may not be needed"
    assert [(run.offset, run.key, run.value) for run in read(BatchRuns)] == [(0, 1, False)]
