"""Batches of a Faust stream: records are read in them, worked on in a thread, and acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import faust

from stores import Logged

MOST_BYTES = 4 * 2**20
"""Far more than 500 records have. Junk may be larger, and what is made of it in memory is several times as large."""


async def batches(
    stream: faust.StreamT[bytes], most: int, within_s: float, most_bytes: int = MOST_BYTES
) -> AsyncIterator[list[Any]]:
    """Lists of Faust's events, each with a bundle of records (`compat.faust`), which the reader must `acknowledge`.

    A list holds all that waits, so that the further behind a worker is, the fewer times it goes to the stores. Faust's
    `take_events` gives what comes within a time, which is a few events where they come slowly, because the processor
    has other work. And it acknowledges what it gave where the reader fails too.

    Args:
        stream: of an agent that has it alone.
        most: most records in a list; at least as many as in a bundle.
        within_s: most seconds to wait, after the first bundle, for others. A list waits as long as the reader took for
            the last one, counted from its end, so that it is read at once where little comes in, and where much does,
            in few large lists. It does not wait where enough are there.
        most_bytes: size of a list's records from which on it takes no more.
    """
    stream.enable_acks = False
    events: list[Any] = []
    count = size = 0
    due = 0.0
    async for event in stream.events():
        bundle = event.message
        if events and count + len(bundle.records) > most:
            began = time.monotonic()
            yield events
            due = rested(began)
            events, count, size = [], 0, 0
        events.append(event)
        count += len(bundle.records)
        size += bundle.size
        waiting = stream.channel.queue
        if len(events) == 1 and count + waiting.qsize() < most and (pause := due - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, within_s))
        if count >= most or size >= most_bytes or waiting.empty():
            began = time.monotonic()
            yield events
            due = rested(began)
            events, count, size = [], 0, 0


def rested(began: float) -> float:
    """The time at which the reader has rested as long as it worked, if it has just ended; both of `time.monotonic`."""
    ended = time.monotonic()
    return ended + (ended - began)


def records_of(events: Sequence[Any]) -> list[Logged]:
    """The records of some events, in order."""
    return [
        Logged(
            record.partition,
            record.offset,
            record.key,
            record.value,
            tuple(record.headers or ()),
            (record.timestamp or 0) / 1000,
        )
        for event in events
        for record in event.message.records
    ]


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
