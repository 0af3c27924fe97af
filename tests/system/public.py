"""A second API of the same system, on every address of this machine, so that it asks for tokens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.servers_fixture import free_ports
from tests.system.conftest import System

TOKENS = "read:reader read+write:writer admin:boss"


@contextmanager
def public_api(system: System) -> Iterator[str]:
    """Its address; it runs until the block is left."""
    [port] = free_ports(1)
    environment = os.environ | {
        "REELSTREAM_API__HOST": "0.0.0.0",
        "REELSTREAM_API__PORT": str(port),
        "REELSTREAM_API__TOKENS": TOKENS,
        "REELSTREAM_STATE_DIR": str(system.settings.state),
    }
    process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            assert time.monotonic() < until
            try:
                ready = requests.get(f"{address}/health/ready", headers=bearer("reader"), timeout=5)
                if ready.status_code == 200:
                    break
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
