"""Batches of a Faust stream: events are read in them, worked on in a thread, and acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import faust

from compat.aiokafka import size_of

MOST_BYTES = 4 * 2**20
"""Far more than 500 events have. Junk may be larger, and what is made of it in memory is several times as large."""


async def batches(
    stream: faust.StreamT[bytes], most: int, within_s: float, most_bytes: int = MOST_BYTES
) -> AsyncIterator[list[Any]]:
    """Lists of events, each of which the reader must `acknowledge`.

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
            events, size = [], 0


async def run_blocking(work: Callable[[Sequence[Any]], None], events: Sequence[Any]) -> None:
    """Do blocking work on events in a thread, and return only once it is done.

    Also where Faust cancels the agent that waits for it: left alone, the thread would run on beside the next one.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work, events))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await doing
        raise


async def acknowledge(stream: faust.StreamT[bytes], events: Sequence[Any]) -> None:
    """Let Kafka know that events are done, so that no worker reads them again."""
    for event in events:
        await stream.ack(event)
