"""A worker's buffer is full when as many events wait as may, or as many bytes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from faust import Event
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from compat.faust import BUFFER_BYTES, Buffer, Bundle


def event(*sizes: int, key: bytes | None = None, headers: Sequence[tuple[str, bytes | None]] = ()) -> Event:
    records = [
        SimpleNamespace(offset=place, key=key, value=bytes(size), headers=headers) for place, size in enumerate(sizes)
    ]
    return Event(None, None, None, None, Bundle(TP("ratings", 0), records, 1))


def buffer(maxsize: int) -> Buffer:
    return Buffer(maxsize, flow_control=FlowControlEvent(initially_suspended=False))


def test_few_large_events_fill_it() -> None:
    waiting = buffer(1000)
    for _ in range(3):
        assert not waiting.full()
        waiting.put_nowait(event(BUFFER_BYTES // 3 + 1))
    assert waiting.full()
    waiting.get_nowait()
    assert not waiting.full()


@pytest.mark.parametrize("part", ["key", "headers"])
def test_large_keys_and_headers_fill_it_too(part: str) -> None:
    waiting, large = buffer(1000), bytes(BUFFER_BYTES)
    key, headers = (large, ()) if part == "key" else (None, [("name", None), ("large", large)])
    waiting.put_nowait(event(0, key=key, headers=headers))
    assert waiting.full()


def test_many_small_events_fill_it() -> None:
    waiting = buffer(5)
    waiting.put_nowait(event(10, 10, 10))
    assert not waiting.full() and waiting.qsize() == 3
    waiting.put_nowait(event(0, 0))
    assert waiting.full()
    waiting.get_nowait()
    assert not waiting.full() and waiting.qsize() == 2


def test_what_is_forgotten_takes_no_room() -> None:
    waiting = buffer(1000)
    waiting.put_nowait(event(BUFFER_BYTES))
    assert waiting.full()
    waiting.clear()
    assert not waiting.full()
