"""Faust still has the behaviour that is overridden, and the private parts that this uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka import ConsumerRecord
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka
from faust.types import TP
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from compat.faust import (
    BUNDLE,
    FETCH_MS,
    PART_S,
    App,
    Bundle,
    NoTables,
    StateConsumer,
    StateConsumerThread,
    StateTransport,
)
from tests.compat.private import parameters


def consumer_of(kind: type[faust.App], folder: Path) -> tuple[str, str, int]:
    """The isolation level, the class of the thread, and the wait of a fetch of an application's consumer."""

    async def make() -> tuple[str, str, int]:
        app = kind("test", broker="kafka://127.0.0.1:1", datadir=folder)
        thread = app.consumer._thread
        consumer = thread._create_worker_consumer(app.transport)
        level, wait_ms = consumer._isolation_level, consumer._fetch_max_wait_ms
        await consumer.stop()
        thread.thread_loop.close()
        return level, type(thread).__name__, wait_ms

    return asyncio.run(make())


def waited(kind: type[faust.App], folder: Path, room_for: Sequence[TP]) -> tuple[float, list[float]]:
    """Seconds that a consumer waits until there is room for a partition of two, after 50 ms; and its waits for records.

    Args:
        kind: of application.
        folder: its folder.
        room_for: the partitions that there is room for from the beginning.
    """
    waits: list[float] = []

    async def read() -> float:
        app = kind("test", broker="kafka://127.0.0.1:1", datadir=folder)
        consumer = app.consumer

        async def nothing(active_partitions: set[TP], timeout: float) -> dict[TP, Any]:
            waits.append(timeout)
            return {}

        consumer._getmany = nothing
        consumer._active_partitions = {*PARTITIONS}
        for partition in set(PARTITIONS).difference(room_for):
            consumer.on_buffer_full(partition)
        consumer.resume_flow()
        asyncio.get_running_loop().call_later(0.05, consumer.on_buffer_drop, PARTITIONS[0])
        began = time.monotonic()
        await consumer._wait_next_records(1.0)
        seconds = time.monotonic() - began
        consumer._thread.thread_loop.close()
        return seconds

    return asyncio.run(read()), waits


def test_a_partition_is_read_from_the_state_wherever_the_group_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    committed: dict[TP, int | None] = {TP("ratings", place): at for place, at in enumerate((None, 0, 3, 9, None, 7, 8))}
    applied = {TP("ratings", place): at for place, at in enumerate((-1, 4, 4, 4, None, None, 4))}
    sought: dict[TP, int] = {}
    gone = TP("ratings", 6)

    class Consumer:
        """Has all partitions but one, which went while the state was read."""

        def assignment(self) -> set[TP]:
            return {*committed} - {gone}

        def seek(self, partition: TP, offset: int) -> None:
            sought[partition] = offset

    async def of_the_group(self: object) -> dict[TP, int | None]:
        return dict(committed)

    monkeypatch.setattr(aiokafka.AIOKafkaConsumerThread, "seek_to_committed", of_the_group)

    async def call(self: object, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        await function(*args)

    monkeypatch.setattr(StateConsumerThread, "_ensure_consumer", lambda self: Consumer())
    monkeypatch.setattr(StateConsumerThread, "call_thread", call)

    async def seek() -> dict[TP, Any]:
        app = App("test", broker="kafka://127.0.0.1:1", datadir=tmp_path)
        app.positions = lambda: applied
        found = dict(await app.consumer._thread.seek_to_committed())
        app.consumer._thread.thread_loop.close()
        return found

    expected: dict[TP, int | None] = {TP("ratings", place): at for place, at in enumerate((0, 0, 3, 5))}
    found = asyncio.run(seek())
    assert sought == expected | {TP("ratings", 5): 7}
    assert found == committed | expected | {gone: 5}


PARTITIONS = (TP("ratings", 0), TP("ratings", 1))


def test_without_the_patch_a_consumer_sleeps_while_there_is_room_again(tmp_path: Path) -> None:
    assert waited(faust.App, tmp_path, ())[0] >= 1.0
    seconds, waits = waited(App, tmp_path, ())
    assert 0.04 < seconds < 0.5 and not waits


def test_without_the_patch_a_consumer_waits_for_some_partitions_while_others_have_records(tmp_path: Path) -> None:
    assert waited(faust.App, tmp_path, PARTITIONS[1:])[1] == [1.0]
    assert waited(App, tmp_path, PARTITIONS[1:])[1] == [PART_S]
    assert waited(App, tmp_path, PARTITIONS)[1] == [1.0]


def test_without_the_patch_events_of_aborted_transactions_are_read_and_fetches_wait(tmp_path: Path) -> None:
    assert consumer_of(faust.App, tmp_path) == ("read_uncommitted", "AIOKafkaConsumerThread", 1500)
    assert consumer_of(App, tmp_path) == ("read_committed", "StateConsumerThread", FETCH_MS)


def test_the_consumer_has_the_parts_that_are_overridden() -> None:
    assert parameters(aiokafka.AIOKafkaConsumerThread.seek_to_committed) == "self"
    assert parameters(aiokafka.AIOKafkaConsumerThread._ensure_consumer) == "self"
    assert aiokafka.Transport.Consumer is aiokafka.Consumer
    assert StateTransport.Consumer is StateConsumer
    assert parameters(aiokafka.Consumer.getmany) == "self, timeout"
    assert parameters(aiokafka.Consumer._wait_next_records) == "self, timeout"
    assert parameters(aiokafka.Consumer.on_buffer_drop) == "self, tp"
    assert parameters(aiokafka.Consumer.resume_partitions) == "self, tps"
    assert parameters(aiokafka.Consumer._getmany) == "self, active_partitions, timeout"
    assert parameters(aiokafka.Consumer._add_gap) == "self, tp, offset_from, offset_to"
    assert parameters(aiokafka.Consumer._new_offset) == "self, tp"
    assert issubclass(StateConsumerThread, aiokafka.AIOKafkaConsumerThread)


def test_without_the_patch_an_application_waits_for_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waits: list[tuple[str, float]] = []

    async def sleep(self: TableManager, seconds: float) -> None:
        waits.append((type(self).__name__, seconds))

    async def start(self: Recovery) -> None:
        waits.append(("started", 0.0))

    async def update(self: TableManager) -> None:
        waits.append(("updated", 0.0))

    monkeypatch.setattr(TableManager, "sleep", sleep)
    monkeypatch.setattr(TableManager, "_update_channels", update)
    monkeypatch.setattr(Recovery, "start", start)

    async def begin(kind: type[TableManager]) -> None:
        app = faust.App("test", broker="kafka://127.0.0.1:1", datadir=tmp_path, TableManager=kind)
        await app.tables.on_start()

    asyncio.run(begin(TableManager))
    assert waits == [("TableManager", 1.0), ("updated", 0.0), ("started", 0.0)]
    waits.clear()
    asyncio.run(begin(NoTables))
    assert waits == [("updated", 0.0), ("started", 0.0)]


def test_without_the_patch_a_queue_is_bounded_in_events_alone() -> None:
    queue = ThrowableQueue(2, flow_control=FlowControlEvent(initially_suspended=False))
    queue.put_nowait(bytes(2**25))
    assert not queue.full()
    assert (parameters(ThrowableQueue._put), parameters(ThrowableQueue._get)) == ("self, item", "self")
    assert parameters(ThrowableQueue.qsize) == "self"
    assert parameters(faust.App.FlowControlQueue) == "self, maxsize, clear_on_resume"


def records(*offsets: int) -> list[ConsumerRecord]:
    return [ConsumerRecord("ratings", 3, offset, 5000, 0, None, b"value", None, 0, 5, ()) for offset in offsets]


def passed_on(kind: type[faust.App], folder: Path, found: list[ConsumerRecord]) -> list[Any]:
    """The messages that an application's consumer makes of some records."""

    async def make() -> list[Any]:
        consumer: Any = kind("test", broker="kafka://127.0.0.1:1", datadir=folder).consumer
        partition = TP("ratings", 3)

        async def waiting(timeout: float) -> Any:
            return {partition: found, TP("ratings", 4): found}, {partition}

        consumer._wait_next_records, consumer.highwater, consumer.flow_active = waiting, lambda tp: 1000, True
        try:
            return [message async for _, message in consumer.getmany(timeout=1.0)]
        finally:
            consumer._thread.thread_loop.close()

    return asyncio.run(make())


def test_without_the_patch_records_are_passed_on_one_by_one(tmp_path: Path) -> None:
    found = records(*range(7, 7 + BUNDLE + 5))
    assert [message.offset for message in passed_on(faust.App, tmp_path, found)] == list(range(7, 7 + BUNDLE + 5))
    first, second = passed_on(App, tmp_path, found)
    assert [*first.records, *second.records] == found
    assert (first.offset, len(first.records), first.size) == (6 + BUNDLE, BUNDLE, 5 * BUNDLE)
    assert (second.offset, second.partition, second.topic) == (found[-1].offset, 3, "ratings")


def test_a_bundle_has_no_more_records_than_the_application_says(tmp_path: Path) -> None:
    class Few(App):
        bundle = 2

    found = records(4, 6, 7, 8, 9)
    assert [[each.offset for each in bundle.records] for bundle in passed_on(Few, tmp_path, found)] == [
        [4, 6],
        [7, 8],
        [9],
    ]


@pytest.mark.parametrize("kind", [faust.App, App])
def test_nothing_is_passed_on_while_nothing_flows(kind: type[faust.App], tmp_path: Path) -> None:
    async def make() -> list[Any]:
        consumer: Any = kind("test", broker="kafka://127.0.0.1:1", datadir=tmp_path).consumer

        async def waiting(timeout: float) -> Any:
            return {TP("ratings", 3): records(7)}, {TP("ratings", 3)}

        async def seek() -> None:
            sought.append(True)

        consumer._wait_next_records, consumer.perform_seek, consumer.flow_active = waiting, seek, False
        try:
            return [message async for _, message in consumer.getmany(timeout=1.0)]
        finally:
            consumer._thread.thread_loop.close()

    sought: list[bool] = []
    assert asyncio.run(make()) == [] and sought == [True]


@pytest.mark.parametrize("begins", [None, 100])
def test_the_offset_after_the_last_acknowledged_bundle_is_committed(begins: int | None, tmp_path: Path) -> None:
    async def make() -> list[int | None]:
        consumer: Any = App("test", broker="kafka://127.0.0.1:1", datadir=tmp_path).consumer
        consumer.app.topics._acking_topics.add("ratings")
        partition, first = TP("ratings", 3), begins or 0
        consumer._committed_offset[partition] = begins
        found = [consumer._new_offset(partition)]
        # A record is missing between the bundles, as one of an aborted transaction is.
        for offsets in ([first, first + 1], [first + 3, first + 4]):
            bundle = Bundle(partition, records(*offsets), 1)
            await consumer._add_gap(partition, first, offsets[-1])
            bundle.incref()
            bundle.ack(consumer)
            found.append(consumer._new_offset(partition))
        consumer._thread.thread_loop.close()
        return [*found, consumer._new_offset(partition)]

    first = begins or 0
    assert asyncio.run(make()) == [None, first + 2, first + 5, None]
