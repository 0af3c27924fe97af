"""Faust still has the behaviour that is overridden, and the private parts that this uses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import faust
import pytest
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from compat.faust import App, NoTables, StateConsumer, StateConsumerThread, StateTransport
from tests.compat.private import parameters


def consumer_of(kind: type[faust.App], folder: Path) -> tuple[str, str]:
    """The isolation level and the class of the thread of an application's consumer."""

    async def make() -> tuple[str, str]:
        app = kind("test", broker="kafka://127.0.0.1:1", datadir=folder)
        thread = app.consumer._thread
        consumer = thread._create_worker_consumer(app.transport)
        level = consumer._isolation_level
        await consumer.stop()
        thread.thread_loop.close()
        return level, type(thread).__name__

    return asyncio.run(make())


def test_without_the_patch_events_of_aborted_transactions_are_read(tmp_path: Path) -> None:
    assert consumer_of(faust.App, tmp_path) == ("read_uncommitted", "AIOKafkaConsumerThread")
    assert consumer_of(App, tmp_path) == ("read_committed", "StateConsumerThread")


def test_the_consumer_has_the_parts_that_are_overridden() -> None:
    assert parameters(aiokafka.AIOKafkaConsumerThread.seek_to_committed) == "self"
    assert parameters(aiokafka.AIOKafkaConsumerThread._ensure_consumer) == "self"
    assert aiokafka.Transport.Consumer is aiokafka.Consumer
    assert StateTransport.Consumer is StateConsumer
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
    assert parameters(faust.App.FlowControlQueue) == "self, maxsize, clear_on_resume"
