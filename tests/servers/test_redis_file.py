"""Redis starts with whatever a failure left of its append-only file."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import servers
from servers.paths import Layout
from settings import Settings
from stores import connect

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

KEYS = 200


def append_only_file(settings: Settings) -> Path:
    (file,) = (Layout(settings.state).data("redis") / "appendonlydir").glob("*.incr.aof")
    return file


def zeros_inside(whole: bytes, place: int) -> bytes:
    return whole[:place] + bytes(3608) + whole[place:]


def zeros_at_the_end(whole: bytes, place: int) -> bytes:
    return whole[:place] + bytes(len(whole) - place)


def junk_inside(whole: bytes, place: int) -> bytes:
    return whole[:place] + b"\xff*junk\r\n" + whole[place + 8 :]


def cut_off(whole: bytes, place: int) -> bytes:
    return whole[:place]


@pytest.mark.parametrize("damage", [zeros_inside, zeros_at_the_end, junk_inside, cut_off])
@pytest.mark.parametrize("shift", [0, 11])
def test_redis_starts_with_what_stands_before_the_damage(
    settings: Settings, damage: object, shift: int, caplog: pytest.LogCaptureFixture
) -> None:
    """`shift` bytes after the beginning of a command."""
    assert callable(damage)
    servers.up(settings, only=["redis"])
    client = connect(settings.redis)
    for number in range(KEYS):
        client.set(f"key-{number:03}", "x" * 100)
    servers.down(settings)
    file = append_only_file(settings)
    whole = file.read_bytes()
    place = whole.index(b"*", whole.index(b"key-099")) + shift
    file.write_bytes(damage(whole, place))
    damaged = file.read_bytes()
    with caplog.at_level(logging.WARNING):
        servers.up(settings, only=["redis"])
    assert sorted(client.scan_iter("key-*")) == [f"key-{number:03}".encode() for number in range(100)]
    client.set("after", "1")
    copies = list(Layout(settings.state).data("redis").glob("damaged-*.aof"))
    if damage is cut_off:
        assert copies == [] and caplog.messages == []
    else:
        assert [copy.read_bytes() for copy in copies] == [damaged]
        (message,) = caplog.messages
        assert f"the last {len(damaged) - place + shift} of {len(damaged)} bytes" in message
    servers.down(settings)
    servers.up(settings, only=["redis"])
    assert client.get("after") == b"1"
