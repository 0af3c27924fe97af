"""The API stops and is exchanged without a failed request."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

import servers
from tests.polling import until
from tests.system.conftest import System
from tests.system.second_api import second_api


@pytest.fixture
def second(system: System) -> Iterator[tuple[System, subprocess.Popen[bytes]]]:
    """A second API of the same system, and the system as it is seen through it."""
    with second_api(system) as (port, process):
        api = system.settings.api.model_copy(update={"port": port})
        yield System(system.settings.model_copy(update={"api": api}), system.events, system.client), process


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
    until(lambda: not before & {child.pid for child in psutil.Process(process.pid).children()}, 60)
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
