"""Records of the log: as they are read, as events, and as they are remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

from kafka.partitioner.default import murmur2

from features.changes import ItemChange
from features.errors import EventError
from features.event import Event, LogRecord
from features.ids import Id, id_text
from features.schema import Schema


@lru_cache(maxsize=1_000_000)
def partition_of(userid: Id, partitions: int) -> int:
    """Partition of a user's events: Kafka's default, murmur2 of the key, so that any client agrees on it.

    >>> partition_of(1, 8), partition_of(6040, 8)
    (7, 7)
    """
    return int(murmur2(id_text(userid).encode()) & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the log, not yet validated."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    created: float = 0.0
    """The time at which Kafka appended it, in unix seconds; 0 if the record has none.

    The time at which it was sent, by the sender's clock, for a record from before the topic had LogAppendTime.
    """


GONE = "reelstream.gone"
"""Header of a record that took the place of one of a user who was erased: empty, or why the one before was dead.

A record of another user has it where only the events of the erased user told that it is dead (`dead_as`).
"""


def gone(record: Logged, reason: str = "") -> Logged:
    """The record that takes the place of one of a user who was erased; it says no more than that there was one.

    Args:
        record: the record.
        reason: why it is dead; empty where it is an event.
    """
    return Logged(record.partition, record.offset, None, None, ((GONE, reason.encode()),))


def dead_as(record: Logged, reason: str) -> Logged:
    """The same record, which says itself why it is dead."""
    return replace(record, headers=(*record.headers, (GONE, reason.encode())))


def reason_if_gone(record: Logged) -> str | None:
    """The reason why a record was dead before an erasure, empty where it was an event; None of any other record.

    >>> reason_if_gone(gone(Logged(0, 5, b"7", b"{}"))), reason_if_gone(Logged(0, 5, None, None))
    ('', None)
    >>> reason_if_gone(dead_as(Logged(0, 5, b"7", b"{}"), "too many")), reason_if_gone(Logged(0, 5, b"7", b"{}"))
    ('too many', None)
    """
    for name, value in record.headers:
        if name == GONE and value is not None and (value or not (record.key or record.value)):
            return value.decode(errors="replace")
    return None


def decode_event(record: Logged, schema: Schema, partitions: int, max_future_s: float) -> LogRecord | None:
    """Read a record: an event, an erasure or a change; None of one that took the place of an erased user's event.

    Args:
        record: the record.
        schema: of the data set.
        partitions: partitions of the topic.
        max_future_s: seconds by which the event may be later than the record.

    Raises:
        EventError: if it is none of these, is not in the partition of its user, or is an event in the future.
    """
    reason = reason_if_gone(record)
    if reason is not None:
        if reason:
            raise EventError(reason)
        return None
    event = schema.events.decode(record.key, record.value)
    # A change of an item is a record of every partition.
    if not isinstance(event, ItemChange) and partition_of(event.userid, partitions) != record.partition:
        raise EventError("event is in another partition than its key says")
    # By the record's own time, so that whoever folds the log decides alike, whenever that is.
    if isinstance(event, Event) and record.created > 0 and event.ts > record.created + max_future_s:
        raise EventError("ts is later than the event was appended by more than stream.max_future_s")
    return event


@dataclass(frozen=True, slots=True)
class Mark:
    """A record: its offset, and its fingerprint, 16 hexadecimal digits."""

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
