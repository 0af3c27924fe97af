"""Faust still has the behaviour that is overridden, and the private parts that this uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

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


class Waiting:
    """A consumer that waits for coroutines, and the tasks that this takes."""

    def __init__(self, kind: type[faust.App], folder: Path) -> None:
        self._kind, self._folder = kind, folder
        self.tasks = 0

    def run(self, wait: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """The result of waiting with a consumer of such an application."""

        async def counted() -> Any:
            consumer: Any = self._kind("test", broker="kafka://127.0.0.1:1", datadir=self._folder).consumer
            asyncio.get_running_loop().set_task_factory(self._make)
            try:
                return await asyncio.wait_for(wait(consumer), 10)
            finally:
                consumer._thread.thread_loop.close()

        return asyncio.run(counted())

    def _make(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        self.tasks += 1
        return asyncio.Task(coroutine, loop=loop, **options)


def test_an_event_for_which_there_is_room_takes_no_task(tmp_path: Path) -> None:
    async def at_once() -> str:
        return "done"

    async def wait(consumer: Any) -> Any:
        return (await consumer.wait_first(at_once(), asyncio.Event().wait())).results

    tasks = []
    for kind in (faust.App, App):
        waiting = Waiting(kind, tmp_path)
        assert waiting.run(wait) == ["done"]
        tasks.append(waiting.tasks)
    before, after = tasks
    assert before - after == 4


@pytest.mark.parametrize("kind", [faust.App, App])
def test_an_event_waits_for_room_until_it_is_there_or_the_flow_is_suspended(
    kind: type[faust.App], tmp_path: Path
) -> None:
    heard: list[str] = []

    async def after(room: asyncio.Event) -> str:
        await asyncio.sleep(0)
        try:
            await room.wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise
        return "done"

    async def wait(consumer: Any, sets: int) -> Any:
        events = room, suspended = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, events[sets].set)
        found = await consumer.wait_first(after(room), suspended.wait())
        await asyncio.sleep(0)
        return found.results

    assert Waiting(kind, tmp_path).run(lambda consumer: wait(consumer, 0)) == ["done"]
    assert Waiting(kind, tmp_path).run(lambda consumer: wait(consumer, 1)) == [True]
    assert heard == ["cancelled"]


@pytest.mark.parametrize("kind", [faust.App, App])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_error_of_an_event_is_raised(kind: type[faust.App], tmp_path: Path, at_once: bool) -> None:
    async def fail() -> None:
        if not at_once:
            await asyncio.sleep(0.01)
        raise ValueError("an error")

    async def wait(consumer: Any) -> Any:
        return await consumer.wait_first(fail(), asyncio.Event().wait())

    with pytest.raises(ValueError, match="an error"):
        Waiting(kind, tmp_path).run(wait)
