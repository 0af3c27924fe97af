"""An operator sees what a worker waits for, and what died."""

from __future__ import annotations

import os
import signal
import time

import servers
from tests.system.conftest import System


def detail(system: System, name: str) -> str:
    return next(part.detail for part in servers.status(system.settings) if part.name == name)


def test_a_worker_that_waits_says_for_what(system: System) -> None:
    assert "waiting (" not in detail(system, "worker-0")
    servers.stop(system.settings, ["redis"])
    try:
        system.send_events(system.events[:1])
        until = time.monotonic() + 30
        while "folding a batch: Redis does not answer" not in detail(system, "worker-0"):
            assert time.monotonic() < until, detail(system, "worker-0")
            time.sleep(0.2)
    finally:
        servers.start(system.settings, ["redis"])
    until = time.monotonic() + 30
    while "waiting (" in detail(system, "worker-0"):
        assert time.monotonic() < until, detail(system, "worker-0")
        time.sleep(0.2)


def test_a_part_that_died_and_was_started_again_is_told(system: System) -> None:
    os.kill(servers.pid(system.settings, "feast"), signal.SIGKILL)
    until = time.monotonic() + 60
    while "crashed" not in detail(system, "feast"):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert "terminated by SIGKILL" in detail(system, "feast")
    servers.up(system.settings)
