"""Work beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any


async def beside(work: Callable[[Sequence[Any]], None], events: Sequence[Any]) -> None:
    """Do blocking work in a thread, and return only once it is done.

    Faust acknowledges a batch whenever the body that has it is left, so it is left only then, also when cancelled.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work, events))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await doing
        raise
