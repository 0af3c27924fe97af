"""Appending to topics so that nothing is taken for written that is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer

from settings import KafkaSettings
from stores.events import producer, reachable
from stores.kafka_client import abandon

LINGER_MS = 100
"""Milliseconds that records wait for others; a call flushes when it has appended all of its own."""

BATCH_BYTES = 512 << 10
"""Records of a topic sent together, before they are compressed; the log takes 1 MiB."""


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

    def __call__(self, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Append records as (key, value); returns once Kafka has them all.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        if not records:
            return
        with reachable(self._settings):
            if self._producer is None:
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
            try:
                sent: list[Any] = [self._producer.send(topic, key=key, value=value) for key, value in records]
                self._producer.flush(timeout=self._within_s)
                for future in sent:
                    future.get(timeout=self._within_s)
            except BaseException:
                client, self._producer = self._producer, None
                abandon(client)
                raise
