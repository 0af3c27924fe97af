"""Appending changes of items, each of which is a record of every partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from features import EventFormat
from features.changes import ItemChange
from settings import KafkaSettings
from stores.errors import StoreError
from stores.kafka.producer import Record, Sender

WITHIN_S = 30.0
"""Seconds that Kafka gets to take the changes that are appended together."""


class ItemChanges:
    """Appends changes of items; the connection is made when it is first used.

    Args:
        settings: of Kafka.
        form: how changes are written.
    """

    def __init__(self, settings: KafkaSettings, form: EventFormat) -> None:
        self._topic, self._form = settings.topic, form
        self._send = Sender(settings, WITHIN_S, compression_type="gzip")

    def append(self, changes: Iterable[ItemChange], partitions: int) -> None:
        """Append changes to all partitions; returns once Kafka has every record.

        Raises:
            StoreError: if Kafka refuses a record for good.
            Unreachable: if Kafka does not answer. Any of them may be in some partitions; they can be appended again.
        """
        records = self._records(list(changes), partitions)
        if refused := self._send(self._topic, records):
            place, error = next(iter(refused.items()))
            key = (records[place].key or b"").decode()
            raise StoreError(f"Kafka refuses the change of item {key}: {error}")

    def _records(self, changes: Sequence[ItemChange], partitions: int) -> list[Record]:
        written = [self._form.encode(change) for change in changes]
        return [Record(key, value, (), partition) for key, value in written for partition in range(partitions)]

    def close(self) -> None:
        """Close the connection."""
        self._send.close()
