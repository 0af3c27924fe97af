"""The checks of a log, on a real Kafka: whose it is, and which offsets never held an event."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from settings import KafkaSettings, Settings
from stores import Log, LogError, delete_topics, ensure_topics, producer
from stores.kafka.batch_headers import Run, holds_events, lost, read_runs
from stores.kafka.client import connected
from stores.kafka.log_check import LogBounds, ShardPosition
from stores.kafka.log_heads import RECENT, LogHeads
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark, fingerprint

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture
def kafka(kafka_server: Settings) -> Iterator[KafkaSettings]:
    """Kafka with empty topics."""
    delete_topics(kafka_server.kafka)
    ensure_topics(kafka_server.kafka)
    yield kafka_server.kafka
    delete_topics(kafka_server.kafka)


@pytest.fixture
def probe(kafka: KafkaSettings, tmp_path: Path) -> Iterator[LogProbe]:
    with closing(LogProbe(kafka, tmp_path / "log-heads")) as made:
        yield made


def append(kafka: KafkaSettings, values: list[bytes], partition: int = 0) -> None:
    with closing(producer(kafka, linger_ms=0)) as client:
        for value in values:
            client.send(kafka.topic, key=b"k", value=value, partition=partition).get(timeout=10)


@pytest.fixture
def transactional(kafka: KafkaSettings) -> Iterator[KafkaProducer]:
    client = connected(KafkaProducer, kafka, acks="all", enable_idempotence=True, transactional_id="test")
    client.init_transactions()
    yield client
    client.close()


def in_transaction(client: Any, topic: str, values: list[bytes], *, commit: bool) -> None:
    client.begin_transaction()
    for value in values:
        client.send(topic, value=value, partition=0)
    if commit:
        client.commit_transaction()
    else:
        client.flush()
        client.abort_transaction()


def position(probe: LogProbe, kafka: KafkaSettings, applied: int) -> ShardPosition:
    """Position of a shard that folded partition 0 up to `applied`."""
    fingerprints = probe.fingerprints({0: applied})
    assert fingerprints[0] is not None
    return ShardPosition(applied, probe.bounds()[0].log, Mark(applied, fingerprints[0]))


def test_a_shard_passes_with_its_own_log_and_after_more_events(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a", b"b", b"c"])
    stands = position(probe, kafka, 2)
    assert probe.check({0: stands})[0].mismatch is None
    append(kafka, [b"d"])
    assert probe.check({0: stands})[0].mismatch is None


def test_the_fingerprint_of_the_probe_is_that_of_the_record(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a", b"b"])
    consumer = Log(kafka)._consumer
    with closing(consumer):
        consumer.assign([TopicPartition(kafka.topic, 0)])
        consumer.seek(TopicPartition(kafka.topic, 0), 1)
        (records,) = consumer.poll(timeout_ms=5000).values()
    expected = fingerprint(records[0].timestamp / 1000, records[0].key, records[0].value)
    assert probe.fingerprints({0: 1}) == {0: expected}


def test_a_topic_that_was_deleted_and_created_again_is_another_log(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a", b"b", b"c"])
    stands = position(probe, kafka, 2)
    delete_topics(kafka)
    ensure_topics(kafka)
    append(kafka, [b"a", b"b", b"c", b"d"])
    why = probe.check({0: stands})[0].mismatch
    assert why is not None and "another log" in why and "offset 2" in why and "offset 4" in why


def test_a_log_that_ends_before_the_state_is_reported_with_both_offsets(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a"])
    stands = ShardPosition(7, probe.bounds()[0].log, Mark(7, "0" * 16))
    why = probe.check({0: stands})[0].mismatch
    assert why is not None and "partition 0" in why and "offset 1" in why and "offset 7" in why


def test_another_record_in_the_place_of_the_last_one_folded_is_reported(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a", b"b", b"c"])
    stands = position(probe, kafka, 2)
    assert probe.check({0: stands})[0].mismatch is None
    other = replace(stands, tail=Mark(2, fingerprint(1.0, b"k", b"x")))
    why = probe.check({0: other})[0].mismatch
    assert why is not None and "record at offset 2" in why


def test_a_log_that_begins_after_the_state_is_reported(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a", b"b", b"c", b"d"])
    early, late = position(probe, kafka, 0), position(probe, kafka, 2)
    with closing(connected(KafkaAdminClient, kafka)) as admin:
        admin.delete_records({TopicPartition(kafka.topic, 0): 3})
    assert probe.check({0: late})[0].mismatch is None
    why = probe.check({0: early})[0].mismatch
    assert why is not None and "begins at offset 3" in why and "offset 0" in why


def test_a_topic_that_is_gone_is_another_log(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a"])
    stands = position(probe, kafka, 0)
    delete_topics(kafka)
    why = probe.check({0: stands})[0].why
    assert why is not None and "another log" in why and "ends at offset 0" in why


def test_a_record_that_was_seen_but_not_folded_is_missed_though_the_log_has_grown_again(
    kafka: KafkaSettings, probe: LogProbe
) -> None:
    append(kafka, [b"a", b"b", b"c"])
    stands = position(probe, kafka, 0)
    assert probe.check({0: stands})[0].why is None
    probe.note({0: Mark(1, probe.fingerprints({0: 1})[0] or "")})
    assert probe.check({0: stands})[0].why is None
    probe.note({0: Mark(2, fingerprint(1.0, b"k", b"another"))})
    why = probe.check({0: stands})[0].why
    assert why is not None and "lost its end" in why and "offset 2" in why
    probe.forget_heads([0])
    assert probe.check({0: stands})[0].why is None


def test_a_record_in_the_place_of_one_that_was_noted_is_a_conflict_that_stays(tmp_path: Path) -> None:
    heads, others = (LogHeads(tmp_path, "topic", 2) for _ in range(2))
    first, second, third = (Mark(offset, f"{offset:016x}") for offset in (5, 6, 7))
    heads.note({1: second})
    others.note({1: first})
    assert heads.read() == {1: second}
    heads.note({1: first})
    others.note({1: Mark(6, "f" * 16)})
    heads.note({1: third})
    assert heads.lost() == others.lost() == {1: second} and heads.read() == {1: third}
    heads.forget(1)
    assert others.read() == others.lost() == {}


@given(st.lists(st.integers(0, 3 * RECENT), min_size=1, max_size=60), st.data())
def test_notes_of_one_log_in_any_order_are_no_conflict(offsets: list[int], data: st.DataObject) -> None:
    """A worker that catches up notes records that are thousands behind those that Kafka acknowledges meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        heads = LogHeads(Path(folder), "topic", 1)
        for offset in [*offsets, *data.draw(st.permutations(offsets))]:
            heads.note({0: Mark(offset, f"{offset * 7919:016x}")})
        assert heads.lost() == {}
        assert heads.read() == {0: Mark(max(offsets), f"{max(offsets) * 7919:016x}")}


def test_a_log_that_grew_beyond_its_lost_end_lacks_the_head_of_the_last_check(
    kafka: KafkaSettings, probe: LogProbe
) -> None:
    append(kafka, [b"a", b"b"])
    stands = position(probe, kafka, 0)
    probe.advance_heads(probe.check({0: stands}))
    assert probe.check({0: stands})[0].why is None
    assert probe._heads is not None and probe._heads[1].proved() == probe._heads[1].read()
    # As if the log had ended with another record at that check, was cut off before it, and has grown since.
    probe._heads[1].prove({0: Mark(1, "0" * 16)})
    append(kafka, [b"c"])
    probe.note({0: Mark(2, probe.fingerprints({0: 2})[0] or "")})
    why = probe.check({0: stands})[0].why
    assert why is not None and "lost its end" in why and "offset 1" in why
    assert probe.check({0: stands})[0].why == why
    probe.forget_heads([0])
    assert probe.check({0: stands})[0].why is None


def test_a_record_that_another_process_sees_and_proves_meanwhile_is_no_loss(
    kafka: KafkaSettings, probe: LogProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(kafka, [b"a"])
    stands, bounds = position(probe, kafka, 0), probe.bounds
    with closing(LogProbe(kafka, tmp_path / "log-heads")) as other:
        for each in (probe, other):
            assert each.check({0: stands})[0].why is None

        def bounds_and_then_another_record() -> dict[int, LogBounds]:
            found = bounds()
            append(kafka, [b"b"])
            other.advance_heads(other.check({0: stands}))
            assert other.check({0: stands})[0].why is None
            return found

        monkeypatch.setattr(probe, "bounds", bounds_and_then_another_record)
        assert probe.check({0: stands})[0].why is None


def test_a_head_beyond_the_end_is_missed_and_the_guard_moves_it_on(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a", b"b"])
    stands = position(probe, kafka, 0)
    probe.advance_heads(probe.check({0: stands}))
    last = probe.fingerprints({0: 1})[0] or ""
    assert probe._heads is not None and probe._heads[1].read() == {0: Mark(1, last)}
    probe.note({0: Mark(7, "0" * 16)})
    why = probe.check({0: stands})[0].why
    assert why is not None and "offset 7" in why and "ends at offset 2" in why


def test_markers_and_aborted_records_are_accounted_for_and_nothing_else_is_lost(
    kafka: KafkaSettings, probe: LogProbe, transactional: KafkaProducer
) -> None:
    append(kafka, [b"before"])  # 0
    in_transaction(transactional, kafka.topic, [b"a", b"b"], commit=True)  # 1, 2, marker 3
    in_transaction(transactional, kafka.topic, [b"x", b"y"], commit=False)  # 4, 5, marker 6
    append(kafka, [b"after"])  # 7
    in_transaction(transactional, kafka.topic, [b"z"], commit=False)  # 8, marker 9
    assert probe.bounds()[0].end == 10
    runs = read_runs(kafka, 0, 0, 10)
    assert lost((0, 10), runs) is None
    assert read_runs(kafka, 0, 0, 10, up_to_events=True) == runs[:1]
    assert read_runs(kafka, 0, 3, 10, up_to_events=True)[-1] == Run(7, 8, True)
    assert not holds_events((8, 10), read_runs(kafka, 0, 8, 10, up_to_events=True))
    assert [offset for offset in range(10) if holds_events((offset, offset + 1), runs)] == [0, 1, 2, 7]
    log = Log(kafka)
    with closing(log):
        values = [record.value for batch in log.read_to(log.ends()) for record in batch]
    assert values == [b"before", b"a", b"b", b"after"]


def test_deleted_records_are_lost(kafka: KafkaSettings) -> None:
    append(kafka, [b"a", b"b", b"c", b"d"])
    with closing(connected(KafkaAdminClient, kafka)) as admin:
        admin.delete_records({TopicPartition(kafka.topic, 0): 3})
    runs = read_runs(kafka, 0, 0, 4)
    assert runs == [Run(3, 4, True)]
    assert lost((0, 4), runs) == (0, 3)


def test_runs_are_told_from_the_middle_of_a_batch_on(kafka: KafkaSettings) -> None:
    with closing(producer(kafka, linger_ms=200)) as client:
        for value in (b"a", b"b", b"c", b"d"):
            client.send(kafka.topic, key=b"k", value=value, partition=0)
        client.flush()
    assert read_runs(kafka, 0, 2, 4) == [Run(2, 4, True)]
    assert read_runs(kafka, 0, 1, 3) == [Run(1, 3, True)]
    with closing(connected(KafkaAdminClient, kafka)) as admin:
        admin.delete_records({TopicPartition(kafka.topic, 0): 3})
    assert read_runs(kafka, 0, 1, 4) == [Run(3, 4, True)]
    assert lost((1, 4), read_runs(kafka, 0, 1, 4)) == (1, 3)


@pytest.mark.parametrize(
    ("name", "value"), [("cleanup.policy", "compact"), ("retention.ms", "604800000"), ("retention.bytes", "1000000")]
)
def test_a_topic_that_can_lose_events_is_refused(kafka: KafkaSettings, name: str, value: str) -> None:
    with closing(connected(KafkaAdminClient, kafka)) as admin:
        admin.delete_topics([kafka.topic])
        admin.create_topics([NewTopic(kafka.topic, kafka.partitions, 1, topic_configs={name: value})])
    with pytest.raises(LogError, match=rf"{name}={value}.*kafka-configs.sh --alter"):
        ensure_topics(kafka)


def test_bounds_are_of_every_partition(kafka: KafkaSettings, probe: LogProbe) -> None:
    append(kafka, [b"a"], partition=1)
    bounds = probe.bounds()
    assert bounds == {0: LogBounds(0, bounds[0].log, 0, 0, 0), 1: LogBounds(1, bounds[0].log, 0, 1, 1)}


def test_compaction_leaves_holes_that_are_lost_events(kafka: KafkaSettings) -> None:
    """One batch of three records of one key, compacted to its last: the batch keeps its offsets, not its events."""
    with closing(connected(KafkaAdminClient, kafka)) as admin:
        resource = ConfigResource(
            ConfigResourceType.TOPIC,
            kafka.topic,
            configs={"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.0"},
        )
        admin.alter_configs([resource])
        with closing(producer(kafka, linger_ms=200)) as client:
            for value in (b"a", b"b", b"c"):
                client.send(kafka.topic, key=b"k", value=value, partition=0)
            client.flush()
        for _ in range(150):
            # A new record closes the segment, which may then be cleaned.
            append(kafka, [b"roll"], partition=0)
            end = 3
            runs = read_runs(kafka, 0, 0, end)
            if lost((0, end), runs) is not None:
                break
    assert lost((0, end), runs) is not None
