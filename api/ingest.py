"""Appending events, erasures and changes to the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from api.answers import Accepted, ErasureAccepted
from api.appending import Appending
from api.log_watch import LogWatch
from api.messages import RequestError, joined
from features import Erasure, Event, EventFormat, ItemChange, UserChange
from settings import KafkaSettings
from stores import LogError, Unreachable, abandon, partition_of, producer
from stores.kafka.producer import OF_THE_PRODUCER
from stores.kafka.record import Mark, fingerprint

REFUSED = (
    "partitions are being added to the log, which takes a few seconds; nothing was appended; send it again, or see "
    "`reelstream rebuild` if that lasts"
)


class LogPosition(NamedTuple):
    """A position in the log."""

    partition: int
    offset: int


class Addressed(NamedTuple):
    """A record on its way to the log."""

    partition: int
    key: bytes
    value: bytes


class Ingest:
    """Puts events on the topic, acknowledged by all replicas; safe to share between threads.

    Args:
        settings: Kafka.
        appending: tells how events are appended now.
        log_watch: knows the partitions whose events would not be folded.
        timeout_s: seconds that Kafka may take to acknowledge what one request appends.
        max_future_s: seconds by which an event may be later than now.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        appending: Callable[[], Appending],
        log_watch: LogWatch,
        timeout_s: float,
        max_future_s: float,
    ) -> None:
        self._settings, self._appending = settings, appending
        self._log_watch = log_watch
        self._max_future_s = max_future_s
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._producer: Any = None
        self._partitions = 0

    def send(self, form: EventFormat, events: Sequence[Event], *, listed: bool = False) -> list[Accepted]:
        """Put events on the topic, all or, if one is refused, none; their partitions, offsets and times, in order.

        Args:
            form: how events are written.
            events: the events.
            listed: True if they are from a list, in which an error names the place.

        Raises:
            RequestError: if an event lies in the future, and so would become a dead letter.
            LogError: if the log of a partition is not the one that the state was folded from, or lacks events, so that
                an event would not be folded; or while partitions are added to the log.
            Unreachable: if Kafka does not acknowledge all of them in time. Any of them may be in the log or not; as the
                same event counts once, they can be sent again with the same `ts`.
        """
        now = time.time()
        for place, event in enumerate(events):
            if event.ts > now + self._max_future_s:
                field = joined((place, "ts") if listed else ("ts",))
                raise RequestError(f"{field}: must be at most {self._max_future_s:.0f} s later than now ({now:.0f})")
        again = f"send it again with ts {events[0].ts}" if len(events) == 1 else "send them again with the same ts"
        if len(events) > 1 and len({event.ts for event in events}) == 1:
            again = f"send them again with ts {events[0].ts}"
        what = "the event" if len(events) == 1 else "all events"
        appended = self._append(lambda partitions: [_of_user(form, event, partitions) for event in events], what, again)
        return [
            Accepted(partition=position.partition, offset=position.offset, ts=event.ts)
            for event, position in zip(events, appended, strict=True)
        ]

    def erase(self, form: EventFormat, erasure: Erasure) -> ErasureAccepted:
        """Put the erasure of a user on the topic; its partition and offset.

        Raises:
            LogError: as `send` does.
            Unreachable: if Kafka does not acknowledge in time. The erasure may or may not be in the log; it can be sent
                again.
        """
        position = self._append_one(form, erasure, "the erasure")
        return ErasureAccepted(partition=position.partition, offset=position.offset)

    def change_user(self, form: EventFormat, change: UserChange) -> LogPosition:
        """Put a change of a user on the topic; its position.

        Raises:
            LogError: as `send` does.
            Unreachable: if Kafka does not acknowledge in time. The change may or may not be in the log; it can be sent
                again.
        """
        return self._append_one(form, change, "the change")

    def change_item(self, form: EventFormat, change: ItemChange) -> list[LogPosition]:
        """Put a change of an item on every partition of the topic; the positions, by partition.

        Raises:
            LogError: as `send` does; also if that is so of one partition alone.
            Unreachable: if Kafka does not acknowledge all of them in time. Some partitions may have the change, and it
                can be sent again with its version, as the change of a version counts once.
        """
        key, value = form.encode(change)
        advice = f"send it again with version {change.version}"
        try:
            return self._append(
                lambda partitions: [Addressed(partition, key, value) for partition in range(partitions)],
                "the change in every partition",
                advice,
            )
        except LogError as error:
            raise LogError(f"{error}; {advice} once that is mended") from error

    def _append_one(self, form: EventFormat, record: Erasure | UserChange, what: str) -> LogPosition:
        (position,) = self._append(lambda partitions: [_of_user(form, record, partitions)], what, "send it again")
        return position

    def _append(self, addressed: Callable[[int], Sequence[Addressed]], what: str, advice: str) -> list[LogPosition]:
        """Append records; their positions, in order.

        Args:
            addressed: gives the records for a number of partitions.
            what: names them in an error.
            advice: tells what to do where not all of them are acknowledged.
        """
        appending = self._appending()
        if appending.refused:
            raise LogError(REFUSED)
        records = addressed(appending.partitions)
        before = self._log_watch.positions(dict.fromkeys(each.partition for each in records))
        try:
            appended = self._acknowledged(records, appending.partitions)
        except Exception as error:
            raise Unreachable(f"Kafka did not acknowledge {what} ({type(error).__name__}); {advice}") from error
        marks: dict[int, list[Mark]] = {}
        for (_, key, value), position in zip(records, appended, strict=True):
            mark = Mark(position.offset, fingerprint(position.timestamp / 1000, key, value))
            marks.setdefault(position.partition, []).append(mark)
        for partition, new in marks.items():
            new.sort(key=attrgetter("offset"))
            for mark in dict.fromkeys((new[0], new[-1])):
                self._log_watch.require_new(partition, mark, before.get(partition))
        return [LogPosition(position.partition, position.offset) for position in appended]

    def _acknowledged(self, records: Sequence[Addressed], partitions: int) -> list[Any]:
        """Send records; the metadata of each, in order, once Kafka has acknowledged them all.

        Kafka refuses a producer whose sequence numbers do not follow those that it has stored. The refused records are
        sent once more by a new producer, so that clients need not send them again.
        """
        deadline = time.monotonic() + self._timeout_s
        acknowledged: dict[int, Any] = {}
        refused: Exception | None = None
        for _ in range(2):
            client = self._connected(partitions)
            try:
                sent = {
                    place: client.send(self._settings.topic, key=key, value=value, partition=partition)
                    for place, (partition, key, value) in enumerate(records)
                    if place not in acknowledged
                }
                for place, future in sent.items():
                    try:
                        acknowledged[place] = future.get(timeout=max(0.0, deadline - time.monotonic()))
                    except OF_THE_PRODUCER as error:
                        refused = error
            except Exception:
                self._abandon(client)
                raise
            if len(acknowledged) == len(records):
                return [acknowledged[place] for place in range(len(records))]
            self._abandon(client)
        assert refused is not None
        raise refused

    def _connected(self, partitions: int) -> Any:
        """The producer; a new one where it may not know of all partitions yet."""
        with self._lock:
            former = self._producer if self._partitions != partitions else None
            if self._producer is None or former is not None:
                timeout_ms = int(self._timeout_s * 1000)
                self._producer = producer(
                    self._settings,
                    linger_ms=0,
                    max_block_ms=timeout_ms,
                    request_timeout_ms=timeout_ms,
                    delivery_timeout_ms=2 * timeout_ms,
                )
                self._partitions = partitions
            connected = self._producer
        if former is not None:
            abandon(former)
        return connected

    def _abandon(self, client: Any) -> None:
        """Let the next call make a new producer, where this one is still in use."""
        with self._lock:
            if client is not self._producer:
                return
            self._producer = None
        abandon(client)

    def close(self) -> None:
        """Send what is waiting and close the connection."""
        with self._lock:
            if self._producer is not None:
                self._producer.close(timeout=self._timeout_s)


def _of_user(form: EventFormat, record: Event | Erasure | UserChange, partitions: int) -> Addressed:
    """A record of a user, for the user's partition."""
    return Addressed(partition_of(record.userid, partitions), *form.encode(record))
