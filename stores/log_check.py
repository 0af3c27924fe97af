"""The check that the log in Kafka is the one that the state was folded from.

A shard remembers the cluster and the topic of its log, and a fingerprint of the last record folded, its tail. A log
that was replaced, restored from an older copy or cut off fails the check: another cluster or topic id, an end before
the state, or another record in the place of the tail. Offsets alone cannot tell: in any other log, too, an event at or
below `applied` looks as if it had been delivered twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from settings import KafkaSettings
from stores.errors import Unreachable
from stores.events import reachable
from stores.kafka_client import connected

READ_WITHIN_S = 5.0
"""Seconds that Kafka gets to deliver single records."""

FETCH_BYTES = 64 << 10
"""Bytes fetched of each partition for a single record; Kafka sends a larger first batch whole."""

WAY_OUT = "restore Kafka's data, or run `reelstream adopt` to keep the profiles and go on with this log"


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """A log.

    Attributes:
        cluster: id of the Kafka cluster.
        topic: id of the topic; a topic that is deleted and created again gets another.
    """

    cluster: str
    topic: str

    def __str__(self) -> str:
        return f"cluster {self.cluster}, topic id {self.topic}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A record that was folded: its offset, and the fingerprint of its bytes."""

    offset: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.offset}:{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read what `str` wrote.

        >>> Mark.parse(str(Mark(7, "00ff"))) == Mark(7, "00ff")
        True
        """
        offset, _, fingerprint = text.partition(":")
        return cls(int(offset), fingerprint)


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """The place in its log that a shard stands at.

    Attributes:
        applied: offset of the last record folded, -1 for none; None before the snapshot.
        log: the log it was folded from; None in a state written before this was recorded.
        tail: the last record folded; None before the first.
        stopped: the reason why a worker stopped the partition; None while it runs.
        lost: runs of offsets, as (first, end), that the log is known to lack and that are passed over.
    """

    applied: int | None
    log: LogIdentity | None = None
    tail: Mark | None = None
    stopped: str | None = None
    lost: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LogBounds:
    """A partition of the log as it is now.

    Attributes:
        log: the log.
        start: offset of its first record.
        end: offset after its last record.
    """

    log: LogIdentity
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A shard and its partition of the log, compared.

    Attributes:
        position: the shard.
        bounds: the partition.
        mismatch: the reason why the log is not the shard's own; None if it is.
    """

    position: ShardPosition
    bounds: LogBounds
    mismatch: str | None


def fingerprint(timestamp_s: float, key: bytes | None, value: bytes | None) -> str:
    """Return 16 hexadecimal digits that depend on a record's time, key and value.

    Args:
        timestamp_s: the record's timestamp in unix seconds, to the millisecond.

    >>> fingerprint(1.0, b"1", b"{}") == fingerprint(1.001, b"1", b"{}")
    False
    """
    digest = blake2b(str(round(timestamp_s * 1000)).encode(), digest_size=8)
    for part in (key, value):
        digest.update(b"\0" if part is None else b"\1" + len(part).to_bytes(8, "big"))
        digest.update(part or b"")
    return digest.hexdigest()


def mismatch(
    partition: int, position: ShardPosition, bounds: LogBounds, fingerprint_at: Callable[[int], str | None]
) -> str | None:
    """Say why a partition of the log is not the one that its shard was folded from; None if it is.

    Args:
        position: the shard, read before the log.
        bounds: the partition of the log.
        fingerprint_at: gives the fingerprint of the record at an offset; None if the log holds none there.
    """
    applied = position.applied
    if applied is None:
        return None
    if position.log is not None and position.log != bounds.log:
        return (
            f"partition {partition}: the state was folded up to offset {applied} of another log ({position.log}); "
            f"this log ({bounds.log}) ends at offset {bounds.end}; {WAY_OUT}"
        )
    if bounds.end <= applied:
        return (
            f"partition {partition}: the log ends at offset {bounds.end}, before the state, which was folded up to "
            f"offset {applied}; {WAY_OUT}"
        )
    if bounds.start > applied + 1:
        return (
            f"partition {partition}: the state was folded up to offset {applied}, but the log begins at offset "
            f"{bounds.start}; the events between them are lost; {WAY_OUT}"
        )
    tail = position.tail
    if tail is not None and bounds.start <= tail.offset and fingerprint_at(tail.offset) != tail.fingerprint:
        return (
            f"partition {partition}: the record at offset {tail.offset} is not the one that the state was folded "
            f"from (the state stands at offset {applied}, the log ends at offset {bounds.end}); {WAY_OUT}"
        )
    return None


class LogProbe:
    """Asks Kafka what `mismatch` needs to know. Not for use by several threads at once.

    Args:
        settings: of Kafka.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: Any = None
        self._consumer: Any = None

    def bounds(self) -> dict[int, LogBounds]:
        """Return the partitions of the log as they are now.

        Raises:
            Unreachable: if Kafka does not answer, or the topic does not exist.
        """
        bounds: dict[int, LogBounds] = self._ask(self._bounds)
        return bounds

    def fingerprints(self, offsets: Mapping[int, int]) -> dict[int, str | None]:
        """Return the fingerprint of one record of each partition named; None where the log holds none at the offset.

        Args:
            offsets: by partition, an offset before its end.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        found: dict[int, str | None] = self._ask(lambda: self._fingerprints(offsets)) if offsets else {}
        return found

    def check(self, positions: Mapping[int, ShardPosition]) -> dict[int, Checked]:
        """Check that the log of each shard is its own.

        Args:
            positions: the shards, read just before.

        Raises:
            Unreachable: if Kafka does not answer, or the topic does not exist.
        """
        bounds = self.bounds()
        wanted = {
            shard: position.tail.offset
            for shard, position in positions.items()
            if position.tail is not None
            and shard in bounds
            and bounds[shard].start <= position.tail.offset < bounds[shard].end
        }
        tails = self.fingerprints(wanted)
        checked = {}
        for shard, position in positions.items():
            if shard in bounds:
                here = {wanted[shard]: tails[shard]} if shard in wanted else {}
                checked[shard] = Checked(position, bounds[shard], mismatch(shard, position, bounds[shard], here.get))
        return checked

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
        described = self._admin.describe_topics([name])
        if not described or described[0]["error_code"]:
            raise Unreachable(
                f"Kafka has no topic {name}; run `reelstream up`, or `reelstream publish`, which create it"
            )
        log = LogIdentity(str(self._admin.describe_cluster()["cluster_id"]), str(described[0]["topic_id"]))
        partitions = [TopicPartition(name, each["partition_index"]) for each in described[0]["partitions"]]
        within_ms = int(1000 * READ_WITHIN_S)
        starts = self._consumer.beginning_offsets(partitions, timeout_ms=within_ms)
        ends = self._consumer.end_offsets(partitions, timeout_ms=within_ms)
        return {each.partition: LogBounds(log, starts[each], ends[each]) for each in partitions}

    def _fingerprints(self, offsets: Mapping[int, int]) -> dict[int, str | None]:
        found: dict[int, str | None] = {}
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
                    found[partition.partition] = (
                        fingerprint(first.timestamp / 1000, first.key, first.value) if exact else None
                    )
            for partition in [each for each in left if self._consumer.position(each) > left[each]]:
                # Nothing but control records, or records of an aborted transaction, from there on.
                del left[partition]
                found[partition.partition] = None
            if left and time.monotonic() > until:
                raise Unreachable(f"Kafka did not deliver a record within {READ_WITHIN_S:.0f} s")
        self._consumer.assign([])
        return found
