"""Starting, stopping and dying, shown on Redis, which starts in a moment, and on stand-ins for our own processes."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest
import requests

import servers
from servers import components, processes
from settings import Settings, load
from stores import connect
from tests.polling import until
from tests.servers.conftest import processes_of
from tests.servers_fixture import started

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

WORKER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"waits_for": None, "state": os.environ["REELSTREAM_STATE_DIR"]}).encode())

port = int(os.environ["REELSTREAM_STREAM__METRICS_PORT"]) + int(sys.argv[2])
HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


def test_up_starts_a_part_and_down_leaves_no_process(settings: Settings) -> None:
    assert [component.name for component in servers.up(settings, only=["redis"])] == ["redis"]
    assert processes_of(settings)
    assert servers.down(settings) == ["redis"]
    assert processes_of(settings) == []
    assert servers.down(settings) == []


def test_a_second_up_says_what_is_running_and_starts_only_what_is_missing(
    settings: Settings, stub_workers: None
) -> None:
    servers.up(settings, only=["redis"])
    before = servers.pid(settings, "redis")
    told: list[tuple[str, str]] = []
    started = servers.up(settings, only=["redis", "worker-0"], progress=lambda *said: told.append(said))
    assert {component.name: component.already_running for component in started} == {"redis": True, "worker-0": False}
    assert ("redis", "already running") in told
    assert ("worker-0", "starting") in told
    assert servers.pid(settings, "redis") == before


def test_up_with_more_workers_adds_them_and_leaves_the_others_alone(settings: Settings, stub_workers: None) -> None:
    servers.up(settings, workers=1, only=["workers"])
    first = servers.pid(settings, "worker-0")
    servers.up(settings, workers=3, only=["workers"])
    assert servers.pid(settings, "worker-0") == first
    workers = [component for component in servers.status(settings) if component.name.startswith("worker-")]
    assert [component.name for component in workers if component.healthy] == ["worker-0", "worker-1", "worker-2"]
    assert sorted(servers.stop(settings, ["workers"])) == ["worker-0", "worker-1", "worker-2"]
    assert processes_of(settings) != []


def test_up_with_fewer_workers_forgets_the_others_and_may_have_them_again(
    settings: Settings, stub_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "COMPONENTS", {"redis": components.COMPONENTS["redis"]})
    for workers in (3, 1, 2):
        servers.up(settings, workers=workers)
        known = {part.name: part.healthy for part in servers.status(settings)}
        assert known == {"redis": True, **{f"worker-{index}": True for index in range(workers)}}


def test_our_processes_get_the_settings_in_force(
    settings: Settings, stub_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REELSTREAM_STATE_DIR")
    servers.up(settings, only=["worker-0"])
    port = settings.stream.metrics_port
    assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).json()["state"] == str(settings.state)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_part_that_dies_is_started_again(settings: Settings, ending: signal.Signals) -> None:
    servers.up(settings, only=["redis"])
    dead = servers.pid(settings, "redis")
    os.kill(dead, ending)
    until(lambda: _running_pid(settings, "redis") not in (None, dead))
    servers.up(settings, only=["redis"])


def test_restart_gives_a_part_a_new_process(settings: Settings) -> None:
    servers.up(settings, only=["redis"])
    before = servers.pid(settings, "redis")
    assert [component.name for component in servers.restart(settings, ["redis"])] == ["redis"]
    assert servers.pid(settings, "redis") != before


def test_a_stopped_part_stays_stopped_until_it_is_started(settings: Settings) -> None:
    servers.up(settings, only=["redis"])
    assert servers.stop(settings, ["redis"]) == ["redis"]
    with pytest.raises(servers.NotRunning):
        servers.pid(settings, "redis")
    servers.start(settings, ["redis"])
    assert servers.pid(settings, "redis")


def test_up_recovers_from_a_supervisor_that_was_killed(settings: Settings) -> None:
    servers.up(settings, only=["redis"])
    supervisor = psutil.Process(servers.pid(settings, "redis")).parent()
    assert supervisor is not None
    supervisor.kill()
    assert (settings.state / "supervisor" / "supervisord.pid").exists()
    assert servers.up(settings, only=["redis"])[0].already_running is False
    assert [command for command in processes_of(settings) if "valkey-server" in command] != []
    servers.down(settings)
    assert processes_of(settings) == []


def test_down_ends_what_a_killed_supervisor_left(settings: Settings) -> None:
    servers.up(settings, only=["redis"])
    supervisor = psutil.Process(servers.pid(settings, "redis")).parent()
    assert supervisor is not None
    supervisor.kill()
    servers.down(settings)
    assert processes_of(settings) == []


def test_a_taken_port_is_named_with_its_part_and_its_setting(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.redis.port)), pytest.raises(servers.PortTaken) as raised:
        servers.up(settings, only=["redis"])
    said = str(raised.value)
    assert str(settings.redis.port) in said
    assert "redis" in said
    assert str(os.getpid()) in said
    assert "REELSTREAM_REDIS__PORT" in said


@pytest.mark.parametrize("setting", ["min_free_disk_mb", "min_free_memory_mb"])
def test_too_little_room_is_said_before_anything_is_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv(f"REELSTREAM_SERVERS__{setting.upper()}", str(2**40))
    with pytest.raises(servers.LowResources, match=setting):
        servers.up(load(), only=["redis"])
    assert processes_of(settings) == []


def test_a_part_that_does_not_come_up_is_named_with_the_last_line_of_its_log(settings: Settings) -> None:
    damaged = settings.state / "data" / "redis" / "appendonlydir" / "appendonly.aof.manifest"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("this is no manifest\n")
    with pytest.raises(servers.NotReady) as raised:
        servers.up(settings, only=["redis"])
    log = settings.state / "logs" / "redis.log"
    said, _, line = str(raised.value).partition(", last line: ")
    assert str(log) in said
    # It is started a few times, of which the last may come after the error.
    assert line in [each.strip() for each in log.read_text().splitlines()]
    assert "Invalid AOF manifest" in line


def test_a_state_folder_deeper_than_a_socket_path_may_be_works(tmp_path: Path) -> None:
    with started(tmp_path / ("deep" * 20) / ("deeper" * 10), "redis") as settings, connect(settings.redis) as redis:
        assert redis.ping()
    assert processes_of(settings) == []


def test_a_store_elsewhere_is_not_started_here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELSTREAM_REDIS__HOST", "redis.example")
    with pytest.raises(servers.Unsupported, match=r"redis\.host"):
        servers.up(load(), only=["redis"])


def test_a_state_folder_that_cannot_be_made_is_said_in_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REELSTREAM_STATE_DIR", str(tmp_path / "file" / "state"))
    with pytest.raises(servers.LowResources, match="REELSTREAM_STATE_DIR"):
        servers.up(load(), only=["redis"])


def test_an_unknown_part_is_named_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(servers.ServersError, match="kafka"):
        servers.up(settings, only=["postgres"])


@pytest.fixture
def stub_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stream workers that only answer the health check: the real ones need models and data."""
    package = tmp_path / "stub" / "stream"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(WORKER)
    monkeypatch.setattr(processes, "REPOSITORY", tmp_path / "stub")


def _running_pid(settings: Settings, name: str) -> int | None:
    try:
        return servers.pid(settings, name)
    except servers.NotRunning:
        return None
