"""Batches of a stream: all that waits, but no more than may be held; acknowledged by their reader alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from faust import Event
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from compat.faust import Buffer, Bundle
from stream.consume.batches import acknowledge, batches, records_of


class Waiting:
    """Parts of a Faust stream that `batches` uses: events that wait, and a list of those that are acknowledged."""

    def __init__(self, values: list[list[bytes]]) -> None:
        self.channel = SimpleNamespace(queue=Buffer(1000, flow_control=FlowControlEvent(initially_suspended=False)))
        self.acknowledged: list[Any] = []
        for bundle in values:
            records = [
                SimpleNamespace(partition=0, offset=0, key=None, value=value, headers=(), timestamp=5)
                for value in bundle
            ]
            self.channel.queue.put_nowait(Event(None, None, None, None, Bundle(TP("ratings", 0), records, 1)))

    async def events(self) -> AsyncIterator[Any]:
        while not self.channel.queue.empty():
            yield await self.channel.queue.get()

    async def ack(self, event: Any) -> None:
        self.acknowledged.append(event)


@pytest.mark.parametrize(
    ("most", "most_bytes", "sizes"),
    [(20, 200, [10]), (4, 200, [4, 4, 2]), (5, 200, [4, 4, 2]), (20, 40, [4, 4, 2]), (20, 1, [2, 2, 2, 2, 2])],
    ids=["all that waits", "no more records", "no more than whole bundles", "no more bytes", "one bundle at least"],
)
def test_a_list_ends(most: int, most_bytes: int, sizes: list[int]) -> None:
    values = [bytes([place]) * 10 for place in range(10)]
    bundles = [values[place : place + 2] for place in range(0, 10, 2)]

    async def collect() -> list[list[bytes]]:
        stream, found = Waiting(bundles), []
        async for events in batches(stream, most, 0.001, most_bytes):
            assert 2 * len(stream.acknowledged) == sum(map(len, found))
            found.append([record.value for record in records_of(events)])
            assert {record.created for record in records_of(events)} == {0.005}
            await acknowledge(stream, events)
        assert len(stream.acknowledged) == len(bundles)
        return found

    found = asyncio.run(collect())
    assert [len(each) for each in found] == sizes
    assert [value for each in found for value in each] == values
