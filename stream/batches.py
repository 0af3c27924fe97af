"""Batches of a Faust stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust


async def batches(stream: faust.StreamT[bytes], most: int, within_s: float) -> AsyncIterator[list[Any]]:
    """Lists of events, each acknowledged when the next is asked for.

    A list holds all that waits, so that the further behind a worker is, the fewer times it goes to the stores. Faust's
    `take_events` gives what comes within a time, which is a few events where they come slowly, because the processor
    has other work. And it acknowledges what it gave where the reader fails too.

    Args:
        stream: of an agent that has it alone.
        most: most events in a list.
        within_s: seconds to wait, after the first event, for others, unless enough are there.
    """
    stream.enable_acks = False
    events: list[Any] = []
    async for event in stream.events():
        events.append(event)
        waiting = stream.channel.queue
        if len(events) == 1 and waiting.qsize() < most - 1:
            await asyncio.sleep(within_s)
        if len(events) == most or waiting.empty():
            yield events
            for each in events:
                await stream.ack(each)
            events = []
