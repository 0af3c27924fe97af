"""Batches of a Faust stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust

from compat.aiokafka import size_of

MOST_BYTES = 4 * 2**20
"""Far more than 500 ratings have. Junk may be larger, and what is made of it in memory is several times as large."""


async def batches(
    stream: faust.StreamT[bytes], most: int, within_s: float, most_bytes: int = MOST_BYTES
) -> AsyncIterator[list[Any]]:
    """Lists of events, each acknowledged when the next is asked for.

    A list holds all that waits, so that the further behind a worker is, the fewer times it goes to the stores. Faust's
    `take_events` gives what comes within a time, which is a few events where they come slowly, because the processor
    has other work. And it acknowledges what it gave where the reader fails too.

    Args:
        stream: of an agent that has it alone.
        most: most events in a list.
        within_s: seconds to wait, after the first event, for others, unless enough are there.
        most_bytes: size of a list's events from which on it takes no more events.
    """
    stream.enable_acks = False
    events: list[Any] = []
    size = 0
    async for event in stream.events():
        events.append(event)
        size += size_of(event.message)
        waiting = stream.channel.queue
        if len(events) == 1 and waiting.qsize() < most - 1:
            await asyncio.sleep(within_s)
        if len(events) == most or size >= most_bytes or waiting.empty():
            yield events
            for each in events:
                await stream.ack(each)
            events, size = [], 0
