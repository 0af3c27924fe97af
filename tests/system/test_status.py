"""An operator sees what a worker waits for, and what died."""

from __future__ import annotations

import os
import signal

import servers
from tests.polling import until
from tests.system.conftest import System


def detail(system: System, name: str) -> str:
    return next(part.detail for part in servers.status(system.settings) if part.name == name)


def test_a_worker_that_waits_says_for_what(system: System) -> None:
    system.wait()
    assert "waiting (" not in detail(system, "worker-0")
    servers.stop(system.settings, ["redis"])
    try:
        system.send_events(system.events[:1])
        waits = "folding a batch: Redis does not answer"
        until(lambda: waits in detail(system, "worker-0"), 30, lambda: detail(system, "worker-0"))
    finally:
        servers.start(system.settings, ["redis"])
    until(lambda: "waiting (" not in detail(system, "worker-0"), 30, lambda: detail(system, "worker-0"))


def test_a_part_that_died_and_was_started_again_is_told(system: System) -> None:
    os.kill(servers.pid(system.settings, "feast"), signal.SIGKILL)
    until(lambda: "crashed" in detail(system, "feast"), 60)
    assert "terminated by SIGKILL" in detail(system, "feast")
    servers.up(system.settings)
