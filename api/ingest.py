"""Appending ratings and erasures to the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from api.answers import Accepted, ErasureAccepted
from api.appending import Appending
from api.log_watch import LogWatch
from api.messages import RatingRequest, RequestError
from features import Erasure, Event, encode
from settings import KafkaSettings
from stores import LogError, Unreachable, abandon, partition_of, producer
from stores.kafka.record import Mark, fingerprint

REFUSED = (
    "partitions are being added to the log, which takes a few seconds; nothing was appended; send it again, or see "
    "`reelstream rebuild` if that lasts"
)


class Ingest:
    """Puts events on the topic, acknowledged by all replicas; safe to share between threads.

    Args:
        settings: Kafka.
        appending: tells how events are appended now.
        log_watch: knows the partitions whose events would not be folded.
        timeout_s: seconds that Kafka may take to acknowledge.
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

    def send(self, rating: RatingRequest) -> Accepted:
        """Put a rating on the topic; its partition, offset and time.

        Raises:
            RequestError: if the rating lies in the future, and so would become a dead letter.
            LogError: if the partition's log is not the one that the state was folded from, or lacks events, so that
                the event would not be folded; or while partitions are added to the log.
            Unreachable: if Kafka does not acknowledge in time. The event may or may not be in the log; as the same
                event counts once, it can be sent again with the same `ts`.
        """
        now = time.time()
        if rating.ts is not None and rating.ts > now + self._max_future_s:
            raise RequestError(f"ts: must be at most {self._max_future_s:.0f} s later than now ({now:.0f})")
        event = Event(rating.userid, rating.itemid, rating.rating, int(now) if rating.ts is None else rating.ts)
        partition, offset = self._append(event, f"send it again with ts {event.ts}")
        return Accepted(partition=partition, offset=offset, ts=event.ts)

    def erase(self, userid: int) -> ErasureAccepted:
        """Put the erasure of a user on the topic; its partition and offset.

        Raises:
            LogError: as `send` does.
            Unreachable: if Kafka does not acknowledge in time. The erasure may or may not be in the log; it can be sent
                again.
        """
        partition, offset = self._append(Erasure(userid), "send it again")
        return ErasureAccepted(partition=partition, offset=offset)

    def _append(self, event: Event | Erasure, advice: str) -> tuple[int, int]:
        """Append an event; its partition and offset."""
        key, value = encode(event)
        appending = self._appending()
        if appending.refused:
            raise LogError(REFUSED)
        partition = partition_of(event.userid, appending.partitions)
        before = self._log_watch.position(partition)
        client = None
        try:
            client = self._connected(appending.partitions)
            future = client.send(self._settings.topic, key=key, value=value, partition=partition)
            position = future.get(timeout=self._timeout_s)
        except Exception as error:
            self._abandon(client)
            raise Unreachable(f"Kafka did not acknowledge the event ({type(error).__name__}); {advice}") from error
        mark = Mark(position.offset, fingerprint(position.timestamp / 1000, key, value))
        self._log_watch.require_new(partition, mark, before)
        return position.partition, position.offset

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
            if client is None or client is not self._producer:
                return
            self._producer = None
        abandon(client)

    def close(self) -> None:
        """Send what is waiting and close the connection."""
        with self._lock:
            if self._producer is not None:
                self._producer.close(timeout=self._timeout_s)
