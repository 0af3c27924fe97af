"""kafka-python: header names that are not UTF-8, clients that are closed in full, and batch headers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector
from kafka.record.default_records import DefaultRecordBatch

TESTED = {"kafka-python": "3.0.12"}


class _Name(bytearray):
    """Bytes that can always be decoded."""

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, "backslashreplace")


class _Buffer(bytearray):
    """A buffer whose slices can always be decoded."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Name(found) if isinstance(at, slice) else found


def tolerant(read: Callable[..., Any]) -> Callable[..., Any]:
    """Have the method `_read_msg` of a batch read a record a second time where a name cannot be decoded.

    It moves on in the batch at its end only, so that a record can be read again.
    """

    def read_any(self: Any, *args: Any) -> Any:
        try:
            return read(self, *args)
        except UnicodeDecodeError:
            self._buffer = _Buffer(self._buffer)
            return read(self, *args)

    return read_any


def tolerate_any_header() -> None:
    """Have kafka-python read headers of any name.

    Kafka takes any bytes for the name of a header. kafka-python and aiokafka decode names as UTF-8 while they unpack a
    fetched batch; the error leaves the consumer before its position has moved, so that every later fetch fails at the
    same record: one such record stops every reader of the partition for good. Here such names are decoded with
    backslashes (`b"\\xff"` becomes `\\xff`), and everything else is left as it is.
    """
    if not hasattr(DefaultRecordBatch, "unpatched_read"):
        DefaultRecordBatch.unpatched_read = DefaultRecordBatch._read_msg
        DefaultRecordBatch._read_msg = tolerant(DefaultRecordBatch._read_msg)


class _Sockets(NetworkSelector):  # type: ignore[misc]
    """An event loop that knows every socket that has waited in it."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self.known: WeakSet[socket.socket] = WeakSet()

    def register_event(self, fileobj: Any, event: int, task: Any) -> Any:
        """Have a task wait until a socket can be read or written."""
        self.known.add(fileobj)
        return super().register_event(fileobj, event, task)


class Network(KafkaNetClient):  # type: ignore[misc]
    """The sockets of a client, which `close` closes.

    Closed while a request is about to be written or a connection is being made, kafka-python leaves the socket to the
    garbage collector: in about one of 170 closings of a consumer that has just polled.
    """

    def __init__(self, **configs: Any) -> None:
        super().__init__(net=_Sockets(**configs), **configs)

    def close(self, node_id: Any = None) -> None:
        """Close the connection to a broker; without one, all that are open."""
        if node_id is not None:
            super().close(node_id)
            return
        self._manager.close()
        self._net.close()
        for each in list(self._net.known):
            each.close()


def connect(kind: Callable[..., Any], **options: Any) -> Any:
    """Create a client.

    One that cannot be created, as no broker answers, leaves its sockets and its thread behind in kafka-python; here
    they are closed, or a worker that waits for Kafka would accumulate them.

    Args:
        kind: KafkaConsumer, KafkaProducer or KafkaAdminClient.
        options: of the client.
    """
    networks: list[Network] = []

    def network(**configs: Any) -> Network:
        networks.append(Network(**configs))
        return networks[-1]

    try:
        return kind(kafka_client=network, **options)
    except BaseException:
        for each in networks:
            each.close()
        raise


def abandon(client: KafkaProducer) -> None:
    """Stop a producer and forget what Kafka has not taken.

    A producer of kafka-python that gave up a record never sends another, as it asks for no new producer id, and its
    `close` first waits for what can no longer be sent, raises, and leaves its thread running.
    """
    client._sender.force_close()
    with suppress(KafkaError):
        client.close(timeout=1.0)


class BatchRuns(Fetcher.PartitionRecords):  # type: ignore[misc]
    """Yields, in place of a batch's records, one record for each run of offsets that the batch accounts for.

    The client gives out neither the markers of transactions nor the records of aborted ones. Without them, an offset
    whose event is lost cannot be told from one that never held any, and its fetcher has no other way to give them out.

    A run is a record with the first offset in `offset`, the offset after the last in `key`, and in `value` whether its
    records are delivered.
    """

    def _unpack_records(self, tp: Any, records: Any, _key: Any, _value: Any) -> Iterator[ConsumerRecord]:
        while (batch := records.next_batch()) is not None:
            if batch.magic == 2:
                self._consume_aborted_transactions_up_to(batch.last_offset)
                if self._contains_abort_marker(batch):
                    self.aborted_producer_ids.discard(batch.producer_id)
            self.next_fetch_offset = batch.next_offset
            if batch.magic == 2 and (batch.is_control_batch or self._is_batch_aborted(batch)):
                yield self._run(tp, batch.base_offset, batch.next_offset, False)
            elif batch.magic == 2 and batch.records_count == batch.last_offset_delta + 1:
                yield self._run(tp, batch.base_offset, batch.next_offset, True)
            else:
                yield from (self._run(tp, record.offset, record.offset + 1, True) for record in batch)
        self.drain()

    def _run(self, tp: Any, first: int, end: int, delivered: bool) -> ConsumerRecord:
        # The fetcher drops what begins before the offset that it asked for, which may be within a batch.
        first = max(first, self.fetch_offset)
        return ConsumerRecord(tp.topic, tp.partition, -1, first, 0, 0, end, delivered, (), None, -1, -1, -1)


def read_batch_runs(consumer: KafkaConsumer) -> None:
    """Have a consumer deliver runs of offsets instead of records; see `BatchRuns`."""
    consumer._fetcher.PartitionRecords = BatchRuns
