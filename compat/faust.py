"""Faust: a consumer that goes on where the state stands, buffers bounded in bytes, and less work for each event.

- Kafka keeps the group's offsets; the truth is `applied`, which changes together with the state. Where Redis lost its
  last second of writes, the group's offset is ahead of the state and events would be skipped; so a partition that is
  assigned is read from the lower of the two.
- Faust would have the consumer read the events of aborted transactions too.
- Faust bounds the events that wait in a worker. An event of the log may have a MiB, so that thousands of them would
  take gigabytes.
- Faust makes four tasks for each event, to wait for room in the buffer of a stream, which mostly is there.
- Faust waits a second for tables to be made; this application has none, and its partitions wait meanwhile.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from types import MappingProxyType
from typing import Any

import faust
from faust import Event
from faust.tables import TableManager
from faust.transport.drivers import aiokafka
from faust.types import TP
from mode.services import WaitResults
from mode.utils.queues import ThrowableQueue

from compat.aiokafka import read_committed, size_of, tolerate_any_record

TESTED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1"}

tolerate_any_record()

BUFFER_BYTES = 16 * 2**20
"""Size of the events that wait from which on no more is taken from Kafka; of ordinary size they would be 200,000."""


class Buffer(ThrowableQueue):
    """Faust's queue of events, which is full too when the events in it are large.

    Attributes:
        bytes: size of the keys, values and headers that wait.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bytes = 0

    def full(self) -> bool:
        """Return True if the next event must wait."""
        return bool(super().full()) or self.bytes >= BUFFER_BYTES

    def clear(self) -> None:
        """Forget what waits."""
        super().clear()
        self.bytes = 0

    def _put(self, item: Any) -> None:
        self.bytes += _size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.bytes -= _size(item)
        return item


def _size(item: Any) -> int:
    return size_of(item.message) if isinstance(item, Event) else 0


Positions = Callable[[], dict[TP, int | None]]
"""Gives the last offset that is in the state and in the feature rows, by partition; None before the snapshot."""


class StateConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """The thread that talks to Kafka."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to the group's offset or the event after those that are in all stores, whichever is lower."""
        offsets: dict[TP, Any] = dict(await super().seek_to_committed())
        applied = await asyncio.to_thread(self.app.positions)
        consumer = self._ensure_consumer()
        for partition, committed in offsets.items():
            stands = applied.get(partition)
            if stands is not None and committed is not None and committed > stands + 1:
                consumer.seek(partition, stands + 1)
                offsets[partition] = stands + 1
        self.app.read_from = {
            partition: committed for partition, committed in offsets.items() if applied.get(partition) is None
        }
        return offsets

    def _create_worker_consumer(self, transport: Any) -> Any:
        """The consumer; Faust would have it read the events of aborted transactions too."""
        consumer = super()._create_worker_consumer(transport)
        read_committed(consumer)
        return consumer


class StateConsumer(aiokafka.Consumer):
    """A consumer with that thread, which passes an event on without a task if nothing is to be waited for."""

    def _new_consumer_thread(self) -> StateConsumerThread:
        return StateConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> WaitResults:
        """Wait for the first of some coroutines; without a task where the first of them ends at once."""
        first, *others = coros
        if timeout is not None or self.should_stop or not asyncio.iscoroutine(first):
            return await super().wait_first(*coros, timeout=timeout)
        ended = True
        try:
            waits_for = first.send(None)
            ended = False
        except StopIteration as end:
            return WaitResults([first], [end.value], False)
        finally:
            if ended:
                for other in others:
                    other.close()
        return await super().wait_first(_finish(first, waits_for), *others)


async def _finish(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    """Go on with a coroutine that was begun, and waits for a future."""
    return await _resume(coroutine, waits_for)


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # the coroutine's to handle: it may be told to end while it waits
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(sent)
    except StopIteration as end:
        return end.value


class StateTransport(aiokafka.Transport):
    """A transport with that consumer."""

    Consumer = StateConsumer


class NoTables(TableManager):
    """Faust waits a second for tables to be made; this application has none, and its partitions wait meanwhile."""

    async def on_start(self) -> None:
        """Start at once."""
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):
    """A Faust application whose offsets live with its state, and whose buffers are bounded in bytes.

    Attributes:
        positions: gives the last offset that is in the state.
        read_from: where partitions are read from for which it gave none, as there was no snapshot yet.
    """

    positions: Positions
    read_from: Mapping[TP, int | None] = MappingProxyType({})

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> Buffer:  # noqa: N802
        """The queue that each of its streams has."""
        return Buffer(maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)

    def _new_transport(self) -> StateTransport:
        return StateTransport(self.conf.broker_consumer, self)
