"""A second API of the same system, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.polling import until
from tests.servers_fixture import free_ports
from tests.system.conftest import System

TOKENS = "read:reader read+write:writer admin:boss"


@contextmanager
def second_api(system: System, **variables: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Its port and its process; it runs until the block is left, unless it is stopped there.

    Args:
        system: the system that it belongs to.
        variables: further variables of its environment.
    """
    [port] = free_ports(1)
    environment = (
        os.environ
        | variables
        | {
            "REELSTREAM_API__PORT": str(port),
            "REELSTREAM_STATE_DIR": str(system.settings.state),
        }
    )
    process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=subprocess.DEVNULL)

    def ready() -> bool:
        answer = requests.get(f"http://127.0.0.1:{port}/health/ready", headers=bearer("reader"), timeout=5)
        return answer.status_code == 200

    try:
        until(ready, 60, not_yet=(requests.ConnectionError, requests.Timeout))
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def public_api(system: System) -> Iterator[str]:
    """The address of a second API on every address of this machine, so that it asks for tokens."""
    with second_api(system, REELSTREAM_API__HOST="0.0.0.0", REELSTREAM_API__TOKENS=TOKENS) as (port, _):
        yield f"http://127.0.0.1:{port}"


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
