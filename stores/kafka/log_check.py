"""The check that the log in Kafka is the one that the state was folded from.

A shard remembers the cluster and the topic of its log, and a fingerprint of the last record folded, its tail. A log
that was replaced, restored from an older copy or cut off fails the check: another cluster or topic id, an end before
the state, or another record in the place of the tail. Offsets alone cannot tell: in any other log, too, an event at or
below `applied` looks as if it had been delivered twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from stores.kafka.record import Mark

NO_TOPIC = "none"
"""In place of a topic's id: there is no such topic."""

WAY_OUT = "restore Kafka's data, or run `reelstream adopt` to keep the profiles and continue with this log"


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
        partition: its number.
        log: the log.
        start: offset of its first record.
        end: offset after its last record that can be read, which an open transaction holds back.
        high: offset after its last record.
    """

    partition: int
    log: LogIdentity
    start: int
    end: int
    high: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A shard and its partition of the log, compared.

    Attributes:
        position: the shard.
        bounds: the partition.
        mismatch: the reason why the log is not the shard's own; None if it is.
        lost_head: the furthest record that anyone has seen, where the log does not hold it; None where it does.
    """

    position: ShardPosition
    bounds: LogBounds
    mismatch: str | None
    lost_head: Mark | None = None

    @property
    def why(self) -> str | None:
        """The reason why the partition must stop: a log that is not the shard's own, or one that has lost its end."""
        if self.mismatch is None and self.lost_head is not None:
            return (
                f"partition {self.bounds.partition}: the log has lost its end: it held a record at offset "
                f"{self.lost_head.offset} that is gone (the log ends at offset {self.bounds.high}, the state is at "
                f"offset {self.position.applied}); {WAY_OUT}"
            )
        return self.mismatch


def mismatch(position: ShardPosition, bounds: LogBounds, found: str | None) -> str | None:
    """Return the reason why a partition of the log is not the one that its shard was folded from; None if it is.

    Args:
        position: the shard, read before the log.
        bounds: the partition of the log.
        found: the fingerprint of the record that stands at the offset of the shard's tail; None if there is none.
    """
    partition, applied = bounds.partition, position.applied
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
    if tail is not None and bounds.start <= tail.offset and found != tail.fingerprint:
        return (
            f"partition {partition}: the record at offset {tail.offset} is not the one that the state was folded "
            f"from (the state is at offset {applied}, the log ends at offset {bounds.end}); {WAY_OUT}"
        )
    return None
