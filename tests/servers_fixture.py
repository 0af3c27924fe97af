"""Settings for servers of one's own: a state folder and free loopback ports for every part."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

# As many stream workers as a test may start; their ports follow one another.
WORKERS = 4

LOWEST = 10_000
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The kernel's range of ports for outgoing connections."""


def free_ports_environment(state_dir: Path) -> dict[str, str]:
    """`REELSTREAM_*` variables for `state_dir` with a port of its own for each part, none in use now."""
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
    """Bind ports in a row until `held` closes, so that no two parts get the same; the first of them.

    They lie below those of outgoing connections, one of which could take the port of a part that is being restarted.
    """
    outgoing = int(OUTGOING.read_text().split()[0])
    while True:
        first = random.SystemRandom().randrange(LOWEST, max(outgoing, 2 * LOWEST) - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as row:
            for port in range(first, first + count):
                row.enter_context(socket.socket()).bind(("127.0.0.1", port))
            held.enter_context(row.pop_all())
            return first
