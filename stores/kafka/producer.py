"""Appending to topics so that nothing is taken for written that is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import (
    BrokerNotAvailableError,
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    CorruptRecordError,
    DuplicateSequenceNumberError,
    IllegalStateError,
    InvalidProducerEpochError,
    InvalidProducerIdMappingError,
    InvalidTopicError,
    KafkaError,
    OutOfOrderSequenceNumberError,
    ProducerFencedError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownProducerIdError,
)

from compat.kafka_python import abandon
from settings import KafkaSettings
from stores.kafka.client import connected, reachable

LINGER_MS = 100
"""Milliseconds that records wait for others; a call flushes when it has appended all of its own."""

BATCH_BYTES = 512 << 10
"""Records of a topic sent together, before they are compressed; the log takes 1 MiB."""

OF_THE_PRODUCER = (
    InvalidProducerEpochError,
    InvalidProducerIdMappingError,
    OutOfOrderSequenceNumberError,
    ProducerFencedError,
    UnknownProducerIdError,
)
"""About what Kafka knows of the producer, which it can lose when it is killed or restored; never about a record."""

TRANSIENT = (
    *OF_THE_PRODUCER,
    BrokerNotAvailableError,
    CorruptRecordError,
    DuplicateSequenceNumberError,
    IllegalStateError,
    SaslAuthenticationFailedError,
    UnknownError,
)
"""Not retriable for kafka-python, but about the connection or the producer, of which a new one is made."""

OF_THE_TOPIC = (ClusterAuthorizationFailedError, InvalidTopicError, TopicAuthorizationFailedError)
"""About every record of a topic, rather than one."""


class Record(NamedTuple):
    """A record to append."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


class Refused(NamedTuple):
    """The reason why Kafka will never accept a record."""

    error: Exception

    def __str__(self) -> str:
        return str(self.error) or type(self.error).__name__


def producer(settings: KafkaSettings, **options: Any) -> KafkaProducer:
    """A producer that loses and repeats nothing: acks=all, idempotent."""
    with reachable(settings):
        return connected(KafkaProducer, settings, acks="all", enable_idempotence=True, **options)


def permanent(error: BaseException) -> bool:
    """Return True if sending the same record again cannot succeed: it is too large, not allowed, or malformed.

    >>> permanent(InvalidTopicError()), permanent(OutOfOrderSequenceNumberError()), permanent(OSError())
    (True, False, False)
    """
    if isinstance(error, BrokerResponseError):
        return not error.retriable and not isinstance(error, TRANSIENT)
    return isinstance(error, ValueError | TypeError | AssertionError) and not isinstance(error, KafkaError)


class Sender:
    """Appends records to topics; the connection is made when it is first used.

    Args:
        settings: of Kafka.
        within_s: seconds that Kafka gets to take what one call appends.
        options: of the producer.
    """

    def __init__(self, settings: KafkaSettings, within_s: float, **options: Any) -> None:
        self._settings, self._within_s, self._options = settings, within_s, options
        self._producer: KafkaProducer | None = None

    def __call__(self, topic: str, records: Sequence[Record]) -> Mapping[int, Refused]:
        """Append records; returns once Kafka has them all, but for those that it refuses for good.

        Returns:
            The places of the records that sending again cannot help, and why.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        refused: dict[int, Refused] = {}
        left = list(range(len(records)))
        while left:
            errors = self._attempt(topic, [records[place] for place in left])
            failed = {left[at]: error for at, error in errors.items()}
            final = {place for place, error in failed.items() if permanent(error)}
            for place in sorted(final):
                # A producer that is refused one record fails all that it holds alike; alone, each is judged by itself.
                alone = failed[place]
                if len(left) > 1 and not isinstance(alone, OF_THE_TOPIC):
                    again = self._attempt(topic, [records[place]])
                    if not again:
                        continue
                    alone = again[0]
                    if not permanent(alone):
                        raise_unreachable(self._settings, alone)
                refused[place] = Refused(alone)
            if failed and not final:
                raise_unreachable(self._settings, next(iter(failed.values())))
            left = [place for place in left if place in failed and place not in final]
        return refused

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            self._abandon(self._producer)

    def _attempt(self, topic: str, records: Sequence[Record]) -> dict[int, Exception]:
        """Append records once; the places of those that failed, and why."""
        with reachable(self._settings):
            client = self._producer or self._connect()
        failed: dict[int, Exception] = {}
        sent: dict[int, Any] = {}
        try:
            for place, record in enumerate(records):
                try:
                    sent[place] = client.send(
                        topic,
                        key=record.key,
                        value=record.value,
                        headers=list(record.headers) or None,
                        partition=record.partition,
                    )
                except Exception as error:
                    failed[place] = error
                    if not permanent(error):
                        # It would be the same with the others, each after a pause.
                        failed |= dict.fromkeys(range(place + 1, len(records)), error)
                        break
            with reachable(self._settings):
                client.flush(timeout=self._within_s)
            for place, future in sent.items():
                try:
                    future.get(timeout=self._within_s)
                except Exception as error:
                    failed[place] = error
        except BaseException:
            self._abandon(client)
            raise
        if failed:
            # An idempotent producer of kafka-python that failed once fails for ever.
            self._abandon(client)
        return failed

    def _connect(self) -> KafkaProducer:
        within_ms = int(1000 * self._within_s)
        self._producer = producer(
            self._settings,
            delivery_timeout_ms=within_ms,
            request_timeout_ms=within_ms // 2 - LINGER_MS,
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            metrics_enabled=False,
            **self._options,
        )
        return self._producer

    def _abandon(self, client: KafkaProducer) -> None:
        self._producer = None
        abandon(client)


def raise_unreachable(settings: KafkaSettings, error: Exception) -> None:
    """Raise `Unreachable` for an error of Kafka's, and any other as it is."""
    with reachable(settings):
        raise error
