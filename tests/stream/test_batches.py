"""Batches of a stream: all that waits, but no more than may be held; acknowledged by their reader alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from stream.consume.batches import acknowledge, batches


class Waiting:
    """Parts of a Faust stream that `batches` uses: events that wait, and a list of those that are acknowledged."""

    def __init__(self, values: list[bytes]) -> None:
        self.channel = SimpleNamespace(queue=asyncio.Queue())
        self.acknowledged: list[Any] = []
        for value in values:
            self.channel.queue.put_nowait(SimpleNamespace(message=SimpleNamespace(key=None, value=value, headers=())))

    async def events(self) -> AsyncIterator[Any]:
        while not self.channel.queue.empty():
            yield await self.channel.queue.get()

    async def ack(self, event: Any) -> None:
        self.acknowledged.append(event)


@pytest.mark.parametrize(
    ("most", "most_bytes", "sizes"),
    [(10, 100, [5]), (2, 100, [2, 2, 1]), (10, 20, [2, 2, 1]), (10, 1, [1, 1, 1, 1, 1])],
    ids=["all that waits", "no more events", "no more bytes", "one at least"],
)
def test_a_list_ends(most: int, most_bytes: int, sizes: list[int]) -> None:
    values = [bytes([place]) * 10 for place in range(5)]

    async def collect() -> list[list[bytes]]:
        stream, found = Waiting(values), []
        async for events in batches(stream, most, 0.001, most_bytes):
            assert len(stream.acknowledged) == sum(map(len, found))
            found.append([event.message.value for event in events])
            await acknowledge(stream, events)
        assert len(stream.acknowledged) == len(values)
        return found

    found = asyncio.run(collect())
    assert [len(each) for each in found] == sizes
    assert [value for each in found for value in each] == values
