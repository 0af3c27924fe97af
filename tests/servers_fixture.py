"""Servers of the tests' own: a state folder and free loopback ports for every component."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from settings import Settings, load

# As many stream workers as a test may start; their ports follow one another.
WORKERS = 4

LOWEST = 10_000
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The kernel's range of ports for outgoing connections."""

KEPT = ("REELSTREAM_CACHE", "REELSTREAM_TEST_CHROMIUM")
"""Variables of the caller that apply to the tests' own servers too."""

SHORT = {"REELSTREAM_ELASTICSEARCH__QUICK_COMPILER": "true"}
"""For servers that run for minutes."""


@contextlib.contextmanager
def own_environment(folder: Path, **variables: str) -> Iterator[Settings]:
    """An environment that sets a state folder and free ports, and the settings that it gives; undone afterwards.

    Args:
        folder: the state folder.
        variables: further variables; no other `REELSTREAM_*` variable applies.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("REELSTREAM_") and name not in KEPT]:
            patch.delenv(name)
        for name, value in (free_ports_environment(folder) | SHORT | variables).items():
            patch.setenv(name, value)
        yield load()


@contextlib.contextmanager
def started(folder: Path, *names: str, **variables: str) -> Iterator[Settings]:
    """Settings under which servers run in a state folder; they are stopped afterwards.

    Only the settings tell of them, so that fixtures of any scope may keep them while other tests run.

    Args:
        folder: the state folder.
        names: servers to start.
        variables: as in `own_environment`.
    """
    with own_environment(folder, **variables) as settings:
        pass
    try:
        if names:
            servers.up(settings, only=names)
        yield settings
    finally:
        servers.down(settings)


def free_ports_environment(state_dir: Path) -> dict[str, str]:
    """`REELSTREAM_*` variables for `state_dir` with a port of its own for each component, none in use now."""
    names = (
        "KAFKA__CONTROLLER_PORT",
        "REDIS__PORT",
        "ELASTICSEARCH__TRANSPORT_PORT",
        "FEAST__PORT",
        "API__PORT",
    )
    with contextlib.ExitStack() as held:
        ports = {f"REELSTREAM_{name}": str(_hold(held)) for name in names}
        ports["REELSTREAM_KAFKA__BOOTSTRAP"] = f"127.0.0.1:{_hold(held)}"
        ports["REELSTREAM_ELASTICSEARCH__URL"] = f"http://127.0.0.1:{_hold(held)}"
        ports["REELSTREAM_STREAM__METRICS_PORT"] = str(_hold(held, WORKERS))
    return {**ports, "REELSTREAM_STATE_DIR": str(state_dir)}


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on now."""
    with contextlib.ExitStack() as held:
        return [_hold(held) for _ in range(count)]


def _hold(held: contextlib.ExitStack, count: int = 1) -> int:
    """Bind ports in a row until `held` closes, so that no two components get the same; the first of them.

    They lie below those of outgoing connections, one of which could take the port of a component that is restarted.
    """
    outgoing = int(OUTGOING.read_text().split()[0])
    while True:
        first = random.SystemRandom().randrange(LOWEST, max(outgoing, 2 * LOWEST) - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as row:
            for port in range(first, first + count):
                row.enter_context(socket.socket()).bind(("127.0.0.1", port))
            held.enter_context(row.pop_all())
            return first
