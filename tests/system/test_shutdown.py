"""The API stops and is exchanged without a failed request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

import servers
from tests.servers_fixture import free_ports
from tests.system.conftest import System


@pytest.fixture(scope="module")
def second(system: System) -> Iterator[tuple[System, subprocess.Popen[bytes]]]:
    """A second API of the same system, and the system as it is seen through it; the last test here stops it."""
    [port] = free_ports(1)
    environment = os.environ | {
        "REELSTREAM_API__PORT": str(port),
        "REELSTREAM_STATE_DIR": str(system.settings.state),
    }
    process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=subprocess.DEVNULL)
    api = system.settings.api.model_copy(update={"port": port})
    seen = System(system.settings.model_copy(update={"api": api}), system.events, system.profiles)
    until = time.monotonic() + 60
    try:
        while not _is_ready(seen):
            assert time.monotonic() < until
            time.sleep(0.2)
        yield seen, process
    finally:
        process.kill()
        process.wait(20)


def _is_ready(api: System) -> bool:
    try:
        return api.get("/health/ready").status_code == 200
    except requests.RequestException:
        return False


def test_workers_are_exchanged_under_requests_without_a_failed_one(
    system: System, second: tuple[System, subprocess.Popen[bytes]]
) -> None:
    api, process = second
    before = {child.pid for child in psutil.Process(process.pid).children()}
    statuses: list[int] = []
    stopping = threading.Event()

    def ask() -> None:
        # Each request on a connection of its own: one that a client keeps open may be closed when a worker ends.
        while not stopping.wait(0.05):
            statuses.append(api.post("/ml/rec", {"userid": system.events[0].userid}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 60
    while before & {child.pid for child in psutil.Process(process.pid).children()}:
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1.0)
    stopping.set()
    for thread in threads:
        thread.join()
    assert len(statuses) >= 3
    assert set(statuses) == {200}


def test_requests_at_work_are_answered_before_the_api_stops(
    system: System, second: tuple[System, subprocess.Popen[bytes]]
) -> None:
    api, process = second
    userid = system.events[0].userid
    servers.stop(system.settings, ["worker-0"])
    try:
        position = system.rate(userid, system.catalogue_items()[0], 3)
        with ThreadPoolExecutor(5) as threads:
            waiting = {"userid": userid, "after": position}
            answers = [threads.submit(api.post, "/ml/rec", waiting) for _ in range(5)]
            time.sleep(0.7)
            assert not any(answer.done() for answer in answers)
            process.send_signal(signal.SIGTERM)
            assert [answer.result().status_code for answer in answers] == [200] * 5
    finally:
        servers.start(system.settings, ["worker-0"])
    assert process.wait(20) == 0
    with pytest.raises(requests.ConnectionError):
        api.get("/health/live")
