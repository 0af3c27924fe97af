"""Faust: a consumer that goes on where the state stands, and passes records on in bundles.

- Kafka keeps the group's offsets; the truth is `applied`, which changes together with the state. Where Redis lost its
  last second of writes, the group's offset is ahead of the state and events would be skipped; so a partition that is
  assigned is read from the lower of the two.
- Faust would have the consumer read the events of aborted transactions too.
- Faust bounds the events that wait in a worker. An event of the log may have a MiB, so that thousands of them would
  take gigabytes.
- Faust passes records on one by one, by tasks, queues, sensors and acknowledgements of their own, which took a third of
  a worker's time. It is given bundles of a partition's records here, each as one message.
- Faust has a fetch wait for 1.5 s where there is nothing to read, and only one is under way at a time: partitions that
  are at their end keep those waiting that are not, if these were still being worked on when the fetch was sent.
- Where the buffer is full for all partitions, Faust sleeps for a second, and the buffer runs empty meanwhile; where it
  is for some, it waits a second for the others.
- Faust waits a second for tables to be made; this application has none, and its partitions wait meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import faust
from faust import Event
from faust.tables import TableManager
from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.queues import ThrowableQueue

from compat.aiokafka import read_committed, size_of, tolerate_any_record, wait_at_most

TESTED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1"}

tolerate_any_record()

log = logging.getLogger("reelstream.stream")

BUFFER_BYTES = 16 * 2**20
"""Size of the events that wait from which on no more is taken from Kafka; of ordinary size they would be 200,000."""


BUNDLE = 100
"""Most records of a bundle, unless an application says less."""


class Bundle(ConsumerMessage):
    """Consecutive records of a partition, for Faust one message at the offset of the last of them.

    Attributes:
        records: the records, as aiokafka gives them.
        size: bytes of their keys, values and headers.
    """

    __slots__ = ("records", "size")

    def __init__(self, tp: TP, records: Sequence[Any], generation: int) -> None:
        super().__init__(
            tp.topic, tp.partition, records[-1].offset, 0.0, 0, None, None, b"", None, tp=tp, generation_id=generation
        )
        self.records = records
        self.size = sum(map(size_of, records))


class Buffer(ThrowableQueue):
    """Faust's queue, whose size is the number of records in its bundles, and which is full too when they are large.

    Attributes:
        records: records that wait.
        bytes: size of their keys, values and headers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.records = self.bytes = 0

    def qsize(self) -> int:
        """The number of records that wait."""
        return self.records

    def full(self) -> bool:
        """Return True if the next bundle must wait."""
        return bool(super().full()) or self.bytes >= BUFFER_BYTES

    def clear(self) -> None:
        """Forget what waits."""
        super().clear()
        self.records = self.bytes = 0

    def _put(self, item: Any) -> None:
        self._count(item, 1)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._count(item, -1)
        return item

    def _count(self, item: Any, sign: int) -> None:
        if isinstance(item, Event) and isinstance(item.message, Bundle):
            self.records += sign * len(item.message.records)
            self.bytes += sign * item.message.size


FETCH_MS = 100
"""Milliseconds that a fetch waits where there is nothing to read."""

PART_S = 0.02
"""Seconds that a consumer waits for records of the partitions that there is room for, where there is not for all."""

NO_ROOM_S = 1.0
"""Seconds after which a consumer looks again whether it is to read a partition."""

Positions = Callable[[], dict[TP, int | None]]
"""Gives the last offset that is in the state and in the feature rows, by partition; None before the snapshot."""


class StateConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """The thread that talks to Kafka."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to the group's offset or the event after those that are in all stores, whichever is lower.

        Also where the group has none, or 0: aiokafka stays where it is then, and what it has read since the partition
        was assigned, while nothing flowed, was dropped.
        """
        offsets: dict[TP, Any] = dict(await super().seek_to_committed())
        applied = await asyncio.to_thread(self.app.positions)
        for partition, committed in offsets.items():
            stands = applied.get(partition)
            if stands is not None:
                offsets[partition] = stands + 1 if committed is None else min(committed, stands + 1)
        await self.call_thread(self._go_to, {partition: offsets[partition] for partition in offsets.keys() & applied})
        self.app.read_from = {
            partition: committed for partition, committed in offsets.items() if applied.get(partition) is None
        }
        return offsets

    async def _go_to(self, offsets: Mapping[TP, int | None]) -> None:
        """Read partitions from some offsets on, as far as they are still assigned."""
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for partition, offset in offsets.items():
            if offset is not None and partition in assigned:
                consumer.seek(partition, offset)

    def _create_worker_consumer(self, transport: Any) -> Any:
        """The consumer; Faust would have it read the events of aborted transactions too, and wait longer."""
        consumer = super()._create_worker_consumer(transport)
        read_committed(consumer)
        wait_at_most(consumer, FETCH_MS)
        return consumer


class StateConsumer(aiokafka.Consumer):
    """A consumer with that thread, which passes records on in bundles."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()

    def _new_consumer_thread(self) -> StateConsumerThread:
        return StateConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def on_buffer_drop(self, tp: TP) -> None:
        """Read a partition again, whose buffer was full."""
        super().on_buffer_drop(tp)
        self._room.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read partitions again."""
        super().resume_partitions(tps)
        self._room.set()

    async def _wait_next_records(self, timeout: float) -> tuple[Any, set[TP] | None]:
        """Read what there is; where there is room for no partition, nothing, as soon as there is some."""
        if not self.flow_active or (active := self._get_active_partitions()):
            # For records of some partitions alone, while those of the others may be there, and soon there is room.
            part = min(timeout, PART_S) if self._buffered_partitions else timeout
            read: tuple[Any, set[TP] | None] = await super()._wait_next_records(part)
            return read
        self._room.clear()
        await self.wait(self._room, timeout=NO_ROOM_S)
        return {}, active

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Bundle]]:
        """Read what there is, as Faust does, in bundles."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            try:
                await self.perform_seek()
            except Exception as error:
                log.warning("positions are not sought while nothing flows: %r", error)
            return
        for tp, found in records.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            for first in range(0, len(found), self.app.bundle):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                yield tp, Bundle(tp, found[first : first + self.app.bundle], generation)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: offsets between those of two bundles are of records in the second, or of none."""

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: agents acknowledge the bundles of a partition in their order."""
        acknowledged = self._acked[tp]
        if not acknowledged:
            return None
        last: int = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return last + 1


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
        bundle: most records of a bundle.
        read_from: where partitions are read from for which it gave none, as there was no snapshot yet.
    """

    positions: Positions
    bundle = BUNDLE
    read_from: Mapping[TP, int | None] = MappingProxyType({})

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> Buffer:  # noqa: N802
        """The queue that each of its streams has."""
        return Buffer(maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)

    def _new_transport(self) -> StateTransport:
        return StateTransport(self.conf.broker_consumer, self)
