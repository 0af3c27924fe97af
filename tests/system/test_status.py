"""An operator sees what a worker waits for, and what died."""

from __future__ import annotations

import servers
from stores.redis.published import STATE
from tests.polling import until
from tests.processes import kill
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
    kill(system.settings, "feast")
    until(lambda: "crashed" in detail(system, "feast"), 60)
    assert "terminated by SIGKILL" in detail(system, "feast")
    servers.up(system.settings)


def test_a_worker_that_starts_on_a_state_of_another_version_says_so_before_any_event(system: System) -> None:
    system.wait()
    client, log = system.profiles.client, system.settings.state / "logs" / "worker-0.log"
    version, logged = client.get(STATE), log.stat().st_size
    refused = "reading the state: the stored state has the version 00000000"
    client.set(STATE, "00000000")
    try:
        servers.restart(system.settings, ["worker-0"])
        until(lambda: f"waiting ({refused}" in detail(system, "worker-0"), 30, lambda: detail(system, "worker-0"))
        assert refused in log.read_bytes()[logged:].decode()
    finally:
        client.set(STATE, version)
    until(lambda: "waiting (" not in detail(system, "worker-0"), 30, lambda: detail(system, "worker-0"))
