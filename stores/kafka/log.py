"""The log of events in Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from settings import KafkaSettings
from stores.errors import Unreachable
from stores.kafka.client import connected, reachable
from stores.kafka.epochs import Epochs
from stores.kafka.record import Logged

STALLED_S = 30.0
"""Seconds without a record after which a reader gives up on Kafka."""


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
            numbers = self._consumer.partitions_for_topic(self._topic) or set()
            self._partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            self._read_from_the_beginning()

    def _read_from_the_beginning(self) -> None:
        self._consumer.assign(self._partitions)
        if self._partitions:
            self._consumer.seek_to_beginning(*self._partitions)

    @property
    def epochs(self) -> Epochs:
        """The newest epoch, as the log itself tells of no other."""
        return Epochs(len(self._partitions))

    def ends(self) -> dict[int, int]:
        """Offset after the last event of each partition."""
        with reachable(self._settings):
            ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(self._partitions)
        return {partition.partition: end for partition, end in ends.items()}

    def begins(self) -> dict[int, int]:
        """Offset of the first event of each partition."""
        with reachable(self._settings):
            begins: Mapping[TopicPartition, int] = self._consumer.beginning_offsets(self._partitions)
        return {partition.partition: begin for partition, begin in begins.items()}

    def read_range(self, partition: int, first: int, end: int) -> Iterator[Sequence[Logged]]:
        """Batches of events of one partition, from offset `first` to the one before `end`.

        Other partitions are not fetched meanwhile. Where the reader stands afterwards is undefined until `seek`.

        Raises:
            Trimmed: if the log does not hold the offset.
            Unreachable: if Kafka does not answer, or delivers nothing for a while.
        """
        only = TopicPartition(self._topic, partition)
        progress = Progress()
        self._consumer.assign([only])
        self._consumer.seek(only, first)
        try:
            while True:
                with reachable(self._settings):
                    position = self._consumer.position(only)
                    if position >= end:
                        return
                    progress.require(position)
                    records = self._consumer.poll(timeout_ms=500).get(only, [])
                yield [_logged(record) for record in records if record.offset < end]
        finally:
            self._consumer.assign(self._partitions)

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
                yield [_logged(record) for record in records if record.offset < end]

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def _logged(record: Any) -> Logged:
    return Logged(
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        (record.timestamp or 0) / 1000,
    )


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
