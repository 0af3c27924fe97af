"""The questions to Kafka by which a log is checked against the state: its bounds, and single records of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import UnknownTopicOrPartitionError

from settings import KafkaSettings
from stores.errors import Trimmed, Unreachable
from stores.kafka.client import connected, reachable
from stores.kafka.log_check import NO_TOPIC, Checked, LogBounds, LogIdentity, ShardPosition, mismatch
from stores.kafka.log_heads import LogHeads
from stores.kafka.record import Mark, fingerprint

READ_WITHIN_S = 5.0
"""Seconds that Kafka gets to deliver single records."""

TRIMMED_TRIES = 3
"""Times that a check is made again because the log was trimmed after its bounds were read."""

FETCH_BYTES = 2 << 10
"""Bytes fetched of each partition for a single record; Kafka sends a larger first batch whole."""


class LogProbe:
    """Asks Kafka what `mismatch` needs to know. Not for use by several threads at once.

    Args:
        settings: of Kafka.
        heads: folder with the furthest records that anyone has seen.

    Attributes:
        partitions: of the log, when its bounds were read last; None before, and where there was no topic.
    """

    def __init__(self, settings: KafkaSettings, heads: Path) -> None:
        self._settings = settings
        self._folder = heads
        self._heads: tuple[str, LogHeads] | None = None
        self.partitions: int | None = None
        self._admin: Any = None
        self._consumer: Any = None

    def bounds(self) -> dict[int, LogBounds]:
        """Return the partitions of the log as they are now; a topic that does not exist is a log that is empty.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        bounds: dict[int, LogBounds] = self._ask(self._bounds)
        self.partitions = None if bounds[0].log.topic == NO_TOPIC else len(bounds)
        return bounds

    def fingerprints(self, offsets: Mapping[int, int]) -> dict[int, str | None]:
        """Return the fingerprint of one record of each partition named; None where the log holds none at the offset.

        Args:
            offsets: by partition, an offset before its end.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        fingerprints: dict[int, str | None] = self._ask(lambda: self._fingerprints(offsets)) if offsets else {}
        return fingerprints

    def check(self, positions: Mapping[int, ShardPosition]) -> dict[int, Checked]:
        """Check that the log of each shard is its own.

        Args:
            positions: the shards, read just before.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        for _ in range(TRIMMED_TRIES):
            with suppress(Trimmed):
                return self._check(positions)
        return self._check(positions)

    def _check(self, positions: Mapping[int, ShardPosition]) -> dict[int, Checked]:
        heads, proved, bounds = self._heads_and_bounds()
        tails = {shard: position.tail for shard, position in positions.items() if position.tail is not None}
        found_tails = self._read(tails, bounds)
        lost = self._heads[1].lost() if self._heads else {}
        gone = {**self._gone(heads, positions, bounds), **self._gone(proved, positions, bounds), **lost}
        checked = {}
        for shard, position in positions.items():
            if shard in bounds:
                why = mismatch(position, bounds[shard], found_tails.get(shard))
                checked[shard] = Checked(position, bounds[shard], why, gone.get(shard))
        if self._heads:
            passed = {shard for shard, each in checked.items() if each.why is None}
            self._heads[1].prove({shard: mark for shard, mark in heads.items() if shard in passed})
        return checked

    def _gone(
        self, marks: Mapping[int, Mark], positions: Mapping[int, ShardPosition], bounds: Mapping[int, LogBounds]
    ) -> dict[int, Mark]:
        """Of the marks of some shards, those that the log does not hold."""
        wanted = {shard: mark for shard, mark in marks.items() if shard in positions}
        found = self._read(wanted, bounds)
        return {shard: mark for shard, mark in wanted.items() if found.get(shard) != mark.fingerprint}

    def _heads_and_bounds(self) -> tuple[dict[int, Mark], dict[int, Mark], dict[int, LogBounds]]:
        """The heads, those that were proved, and the bounds.

        The bounds are read last: a record that is appended, noted and proved by others meanwhile is no loss.
        """
        while True:
            before = self._heads
            heads, proved = (before[1].read(), before[1].proved()) if before else ({}, {})
            bounds = self.bounds()
            topic = next(iter(bounds.values())).log.topic
            if topic == NO_TOPIC:
                return {}, {}, bounds
            if before is not None and before[0] == topic and before[1].partitions >= len(bounds):
                return heads, proved, bounds
            self._heads = topic, LogHeads(self._folder, topic, len(bounds))

    def _read(self, marks: Mapping[int, Mark], bounds: Mapping[int, LogBounds]) -> dict[int, str | None]:
        """Fingerprints of the records that stand at marks now; without marks outside the bounds.

        A head before the beginning of the log was trimmed, which is no loss of an end: it counts as found.
        """
        inside = {
            shard: mark.offset
            for shard, mark in marks.items()
            if shard in bounds and bounds[shard].start <= mark.offset < bounds[shard].end
        }
        trimmed = {
            shard: mark.fingerprint
            for shard, mark in marks.items()
            if shard in bounds and mark.offset < bounds[shard].start
        }
        held_back = {
            shard: mark.fingerprint
            for shard, mark in marks.items()
            if shard in bounds and bounds[shard].end <= mark.offset < bounds[shard].high
        }
        return {**self.fingerprints(inside), **trimmed, **held_back}

    def advance_heads(self, checked: Mapping[int, Checked]) -> None:
        """Note the last record of each partition that passed the check; raises Unreachable."""
        if self._heads is None:
            return
        known = self._heads[1].read()
        wanted = {
            shard: each.bounds.end - 1
            for shard, each in checked.items()
            if each.why is None
            and each.bounds.end > each.bounds.start
            and (shard not in known or each.bounds.end - 1 > known[shard].offset)
        }
        fingerprints = self.fingerprints(wanted)
        self.note({shard: Mark(wanted[shard], each) for shard, each in fingerprints.items() if each is not None})

    def note(self, marks: Mapping[int, Mark]) -> None:
        """Note records that the log holds, by partition, once it was checked."""
        if self._heads is not None:
            self._heads[1].note(marks)

    def forget_heads(self, partitions: Iterable[int]) -> None:
        """Forget the heads of partitions, once what they lost is reported."""
        if self._heads is not None:
            for partition in partitions:
                self._heads[1].forget(partition)

    def close(self) -> None:
        """Close the connections."""
        for client in (self._admin, self._consumer):
            if client is not None:
                with suppress(Exception):
                    client.close()
        self._admin = self._consumer = None

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            with reachable(self._settings):
                if self._admin is None:
                    self._admin = connected(KafkaAdminClient, self._settings)
                if self._consumer is None:
                    self._consumer = connected(
                        KafkaConsumer,
                        self._settings,
                        enable_auto_commit=False,
                        auto_offset_reset="none",
                        max_partition_fetch_bytes=FETCH_BYTES,
                    )
                return question()
        except BaseException:
            self.close()
            raise

    def _bounds(self) -> dict[int, LogBounds]:
        name = self._settings.topic
        described = self._admin.describe_topics([name])[0]
        cluster = str(self._admin.describe_cluster()["cluster_id"])
        if described["error_code"] == UnknownTopicOrPartitionError.errno:
            none = LogIdentity(cluster, NO_TOPIC)
            return {partition: LogBounds(partition, none, 0, 0, 0) for partition in range(self._settings.partitions)}
        if described["error_code"]:
            raise Unreachable(f"Kafka is still creating topic {name}; trying again")
        log = LogIdentity(cluster, str(described["topic_id"]))
        partitions = [TopicPartition(name, each["partition_index"]) for each in described["partitions"]]
        within_ms = int(1000 * READ_WITHIN_S)
        latest = dict.fromkeys(partitions, OffsetSpec.LATEST)
        # In this order: what is appended meanwhile moves an end that is read later further away, never closer.
        try:
            starts = self._consumer.beginning_offsets(partitions, timeout_ms=within_ms)
            ends = self._consumer.end_offsets(partitions, timeout_ms=within_ms)
        except KeyError as error:  # a partition that the consumer, connected before it was added, does not know
            raise Unreachable(f"partitions were added to topic {name}; trying again") from error
        highs = self._admin.list_partition_offsets(latest, timeout_ms=within_ms)
        return {
            each.partition: LogBounds(each.partition, log, starts[each], ends[each], highs[each].offset)
            for each in partitions
        }

    def _fingerprints(self, offsets: Mapping[int, int]) -> dict[int, str | None]:
        fingerprints: dict[int, str | None] = {}
        left = {TopicPartition(self._settings.topic, partition): offset for partition, offset in offsets.items()}
        self._consumer.assign(list(left))
        for partition, offset in left.items():
            self._consumer.seek(partition, offset)
        until = time.monotonic() + READ_WITHIN_S
        while left:
            for partition, records in self._consumer.poll(timeout_ms=200).items():
                wanted = left.pop(partition, None)
                if wanted is not None:
                    first = records[0]
                    exact = first.offset == wanted
                    fingerprints[partition.partition] = (
                        fingerprint(first.timestamp / 1000, first.key, first.value) if exact else None
                    )
            for partition in [each for each in left if self._consumer.position(each) > left[each]]:
                # Nothing but control records, or records of an aborted transaction, from there on.
                del left[partition]
                fingerprints[partition.partition] = None
            if left and time.monotonic() > until:
                raise Unreachable(f"Kafka did not deliver a record within {READ_WITHIN_S:.0f} s")
        self._consumer.assign([])
        return fingerprints
