"""The log of events in Kafka."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.partitioner.default import murmur2

from features import Event, EventError, decode
from settings import KafkaSettings
from stores.errors import LogError, Unreachable
from stores.kafka.client import connected
from stores.kafka.topic_configs import config_of, set_config

BACKWARDS = 2000
"""Events read at once when the newest of a kind is looked for."""

GROUP = "reelstream"
"""The consumer group of the stream workers."""

LARGEST = "max.message.bytes"
TIMESTAMP, APPENDED = "message.timestamp.type", "LogAppendTime"
DEAD_BYTES = 8 << 20
"""Largest dead letter: the log takes events of 1 MiB, and of a byte that is no letter six stand in the JSON text."""


LASTING = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
}
"""Configuration with which a topic keeps every event that Kafka has acknowledged."""

STALLED_S = 30.0
"""Seconds without a record after which a reader gives up on Kafka."""


@lru_cache(maxsize=1_000_000)
def partition_of(userid: int, partitions: int) -> int:
    """Partition of a user's events: Kafka's default, murmur2 of the key, so that any client agrees on it.

    >>> partition_of(1, 8), partition_of(6040, 8)
    (7, 7)
    """
    return int(murmur2(str(userid).encode()) & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Logged:
    """An event as it stands in the log, not yet understood."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    created: float = 0.0
    """When Kafka appended it, in unix seconds; 0 where the record does not say.

    The time at which it was sent, by the sender's clock, for a record from before the topic had LogAppendTime.
    """


def decode_event(record: Logged, items: Container[int], partitions: int, max_future_s: float) -> Event:
    """The event of a record.

    Args:
        record: the record.
        items: the catalogue.
        partitions: partitions of the topic.
        max_future_s: seconds by which the event may be later than the record.

    Raises:
        EventError: if it is not an event of a known item in the partition of its key, or lies in the future.
    """
    event = decode(record.key, record.value)
    if event.itemid not in items:
        raise EventError("itemid is not in the catalogue")
    if partition_of(event.userid, partitions) != record.partition:
        raise EventError("event is in another partition than its key says")
    # By the record's own time, so that whoever folds the log decides alike, whenever that is.
    if record.created > 0 and event.ts > record.created + max_future_s:
        raise EventError("ts is later than the event was appended by more than stream.max_future_s")
    return event


@contextmanager
def reachable(settings: KafkaSettings) -> Iterator[None]:
    """Turn what kafka-python raises into `Unreachable`."""
    try:
        yield
    except (KafkaError, OSError, ValueError) as error:
        said = str(error) or type(error).__name__
        # A wrong password looks the same to the client: no broker can be had in time.
        sasl = settings.security_protocol.startswith("SASL")
        refused = " or does not take kafka.username and kafka.password" if sasl else ""
        raise Unreachable(
            f"Kafka at {settings.bootstrap} does not answer{refused} ({said}); see `reelstream status`"
        ) from error


def ensure_topics(settings: KafkaSettings) -> None:
    """Make the topics where they are missing.

    Raises:
        LogError: if the topic of the events has another number of partitions than the settings say, or is configured
            so that Kafka may delete events.
        Unreachable: if Kafka does not answer.
    """
    keep = {"retention.ms": "-1", "retention.bytes": "-1"}
    # Of the time that a client claims, nothing can be concluded: see `decode_event`.
    keep_appended = keep | {TIMESTAMP: APPENDED}
    keep_large = keep | {LARGEST: str(DEAD_BYTES)}
    keep_some = {"retention.ms": str(settings.features_keep_h * 3600 * 1000), "retention.bytes": "-1"}
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            for name, partitions, configs in (
                (settings.topic, settings.partitions, keep_appended),
                (settings.dead_topic, 1, keep_large),
                (settings.features_topic, 1, keep_some),
                (settings.alarms_topic, 1, keep),
            ):
                if name in admin.list_topics():
                    continue
                try:
                    admin.create_topics([NewTopic(name, partitions, -1, topic_configs=configs)])
                except TopicAlreadyExistsError:
                    continue
            # One that was made before dead letters could be as large.
            if int(config_of(admin, settings.dead_topic)[LARGEST]) < DEAD_BYTES:
                set_config(admin, settings.dead_topic, max_message_bytes=str(DEAD_BYTES))
            if config_of(admin, settings.topic)[TIMESTAMP] != APPENDED:
                set_config(admin, settings.topic, message_timestamp_type=APPENDED)
            found = len(admin.describe_topics([settings.topic])[0]["partitions"])
            lasting = {name: config_of(admin, name) for name in (settings.topic, settings.dead_topic)}
        finally:
            admin.close()
    for name, values in lasting.items():
        _require_lasting(name, values)
    if found != settings.partitions:
        raise LogError(
            f"topic {settings.topic} has {found} partitions and the setting kafka.partitions says "
            f"{settings.partitions}; correct the setting"
        )


def _require_lasting(topic: str, configs: Mapping[str, str]) -> None:
    """Refuse a topic whose configuration lets Kafka delete events that it has acknowledged."""
    wrong = {name: configs[name] for name, value in LASTING.items() if configs.get(name, value) != value}
    if wrong:
        are = ", ".join(f"{name}={value}" for name, value in sorted(wrong.items()))
        to = ",".join(f"{name}={LASTING[name]}" for name in sorted(wrong))
        raise LogError(
            f"topic {topic} can lose events ({are}); change it with "
            f"`kafka-configs.sh --alter --topic {topic} --add-config {to}`"
        )


def delete_topics(settings: KafkaSettings) -> None:
    """Delete the topics with all their events, that of the events last, and wait until they are gone.

    Raises:
        Unreachable: if Kafka does not answer, or does not delete them in time.
    """
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            for topics in ({settings.dead_topic, settings.features_topic, settings.alarms_topic}, {settings.topic}):
                _delete(admin, topics)
        finally:
            admin.close()


def _delete(admin: KafkaAdminClient, topics: set[str]) -> None:
    if there := sorted(topics & set(admin.list_topics())):
        admin.delete_topics(there)
    for _ in range(100):
        if not topics & set(admin.list_topics()):
            return
        time.sleep(0.1)
    raise Unreachable("Kafka did not delete the topics within 10 s; try again")


def members(settings: KafkaSettings, group: str, within_s: float) -> int:
    """Wait until no consumer belongs to a group, so long at most; how many do then.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    until = time.monotonic() + within_s
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            while True:
                # Kafka refuses to describe a group that it has never had.
                known = {each["group_id"] for each in admin.list_groups()}
                found = len(admin.describe_groups([group])[group]["members"]) if group in known else 0
                if not found or time.monotonic() > until:
                    return found
                time.sleep(0.2)
        finally:
            admin.close()


def producer(settings: KafkaSettings, **options: Any) -> KafkaProducer:
    """A producer that loses and repeats nothing: acks=all, idempotent."""
    with reachable(settings):
        return connected(KafkaProducer, settings, acks="all", enable_idempotence=True, **options)


class Progress:
    """Ends a loop that reads from Kafka without getting any further."""

    def __init__(self) -> None:
        self._position = -1
        self._until = 0.0

    def require(self, position: int) -> None:
        """Take note of the position.

        Raises:
            Unreachable: if it has not changed for STALLED_S.
        """
        now = time.monotonic()
        if position != self._position:
            self._position, self._until = position, now + STALLED_S
        elif now > self._until:
            raise Unreachable(f"Kafka has delivered nothing for {STALLED_S:.0f} s; see `reelstream status`")


class Log:
    """A reader of the topic of the events from its beginning, outside any consumer group."""

    def __init__(self, settings: KafkaSettings, topic: str | None = None) -> None:
        self._settings = settings
        self._topic = topic or settings.topic
        with reachable(settings):
            self._consumer = connected(
                KafkaConsumer,
                settings,
                enable_auto_commit=False,
                # A log that loses its end while it is read must not be read from its beginning a second time.
                auto_offset_reset="none",
                max_poll_records=5000,
            )
            found = self._consumer.partitions_for_topic(self._topic) or set()
            self._partitions = [TopicPartition(self._topic, number) for number in sorted(found)]
            self._read_from_the_beginning()

    def _read_from_the_beginning(self) -> None:
        self._consumer.assign(self._partitions)
        if self._partitions:
            self._consumer.seek_to_beginning(*self._partitions)

    def ends(self) -> dict[int, int]:
        """Offset after the last event of each partition."""
        with reachable(self._settings):
            ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(self._partitions)
        return {partition.partition: end for partition, end in ends.items()}

    def last_header(self, name: str) -> dict[int, str]:
        """Value of a header in the last event of each partition that has it; without partitions that have none.

        Reads backwards from the end, so that only the newest part of the log is read.
        """
        found: dict[int, str] = {}
        with reachable(self._settings):
            begins = self._consumer.beginning_offsets(self._partitions)
            high = self._consumer.end_offsets(self._partitions)
            for partition in self._partitions:
                low = high[partition]
                while low > begins[partition] and partition.partition not in found:
                    low, end = max(begins[partition], low - BACKWARDS), low
                    for record in self._between(partition, low, end):
                        for key, value in record.headers:
                            if key == name and value is not None:
                                found[partition.partition] = value.decode(errors="replace")
        return found

    def _between(self, partition: TopicPartition, low: int, end: int) -> Iterator[Any]:
        self._consumer.assign([partition])
        self._consumer.seek(partition, low)
        progress = Progress()
        try:
            while (position := self._consumer.position(partition)) < end:
                progress.require(position)
                for records in self._consumer.poll(timeout_ms=500).values():
                    yield from (record for record in records if record.offset < end)
        finally:
            self._read_from_the_beginning()

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets; partitions that are not named from their beginning."""
        with reachable(self._settings):
            for partition in self._partitions:
                if partition.partition in offsets:
                    self._consumer.seek(partition, offsets[partition.partition])
                else:
                    self._consumer.seek_to_beginning(partition)

    def read_to(self, ends: Mapping[int, int]) -> Iterator[Sequence[Logged]]:
        """Batches of events up to the offsets before `ends`.

        Raises:
            Unreachable: if Kafka does not answer, or delivers nothing for a while.
        """
        progress = Progress()
        while True:
            with reachable(self._settings):
                positions = {each.partition: self._consumer.position(each) for each in self._partitions}
                if all(position >= ends.get(partition, 0) for partition, position in positions.items()):
                    return
                progress.require(sum(positions.values()))
                polled = self._consumer.poll(timeout_ms=500)
            for partition, records in polled.items():
                end = ends.get(partition.partition, 0)
                if records[-1].offset >= end:
                    self._consumer.seek(partition, end)
                yield [
                    Logged(
                        partition.partition,
                        record.offset,
                        record.key,
                        record.value,
                        tuple(record.headers),
                        (record.timestamp or 0) / 1000,
                    )
                    for record in records
                    if record.offset < end
                ]

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def end_of(settings: KafkaSettings, topic: str) -> int:
    """Offset after the last record of a topic of one partition.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    log = Log(settings, topic)
    try:
        return log.ends().get(0, 0)
    finally:
        log.close()
