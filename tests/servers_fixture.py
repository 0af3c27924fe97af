"""Settings for servers of one's own: a state folder and free loopback ports for every part."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

# As many stream workers as a test may start; their ports follow one another.
WORKERS = 4


def free_ports_environment(state_dir: Path) -> dict[str, str]:
    """`REELSTREAM_*` variables for `state_dir` with a port of its own for each part, none in use now."""
    names = (
        "KAFKA__CONTROLLER_PORT",
        "REDIS__PORT",
        "ELASTICSEARCH__TRANSPORT_PORT",
        "TRITON__GRPC_PORT",
        "TRITON__HTTP_PORT",
        "TRITON__METRICS_PORT",
        "FEAST__PORT",
        "API__PORT",
    )
    with contextlib.ExitStack() as held:
        ports = {f"REELSTREAM_{name}": str(_hold(held, 0)) for name in names}
        ports["REELSTREAM_KAFKA__BOOTSTRAP"] = f"127.0.0.1:{_hold(held, 0)}"
        ports["REELSTREAM_ELASTICSEARCH__URL"] = f"http://127.0.0.1:{_hold(held, 0)}"
        ports["REELSTREAM_STREAM__METRICS_PORT"] = str(_hold_row(held, WORKERS))
    return {**ports, "REELSTREAM_STATE_DIR": str(state_dir)}


def _hold(held: contextlib.ExitStack, port: int) -> int:
    """Bind a port until `held` closes, so that no two parts get the same."""
    listener = held.enter_context(socket.socket())
    listener.bind(("127.0.0.1", port))
    return int(listener.getsockname()[1])


def _hold_row(held: contextlib.ExitStack, count: int) -> int:
    while True:
        first = _hold(held, 0)
        with contextlib.suppress(OSError, OverflowError):
            for port in range(first + 1, first + count):
                _hold(held, port)
            return first
