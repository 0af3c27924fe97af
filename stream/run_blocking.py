"""Blocking work in a thread of its own, away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any


async def run_blocking(work: Callable[[Sequence[Any]], None], events: Sequence[Any]) -> None:
    """Do blocking work in a thread, and return only once it is done.

    Also where Faust cancels the agent that waits for it: left alone, the thread would go on beside what comes next.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work, events))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await doing
        raise
