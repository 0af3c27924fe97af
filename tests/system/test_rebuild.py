"""A rebuild next to the live state: under load, killed at any moment, switched back, and after a loss of Redis."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import requests

import servers
from bench import Load
from features import Event
from offline.state.lock import lock
from producers import dead_events
from stores import Generations, StateStores
from stores.feast.online_rows import OnlineRows
from tests.polling import until
from tests.system.conftest import System
from tests.system.rating_load import RatingLoad

pytestmark = pytest.mark.timeout(600)

EVENTS_PER_S = 200
REQUESTS_PER_S = 20
MALFORMED_EVERY = 50


@pytest.fixture(scope="module", autouse=True)
def in_order(system: System) -> Iterator[None]:
    """Leave the system in order to the tests that follow."""
    yield
    servers.up(system.settings)
    system.start_over()


@pytest.fixture(autouse=True)
def own_state(system: System) -> None:
    """An empty log and the first generation of the state for each test."""
    servers.up(system.settings)
    system.start_over()
    system.wait_until_ready()


def line(*words: str) -> list[str]:
    return [sys.executable, "-m", "cli", "rebuild", *words]


def rebuild(*words: str) -> dict:
    done = subprocess.run(line(*words, "--json"), check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Traffic(RatingLoad):
    """Ratings and requests until it is stopped, and what becomes of them.

    Attributes:
        generations: the live generations that were seen, in their order.
        clicks: ratings that were acknowledged and followed by a request for a list.
        late: answers to those that did not know the rating yet, and said so.
        failed_clicks: those that failed.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system, EVENTS_PER_S, MALFORMED_EVERY)
        self._threads = [threading.Thread(target=work) for work in (self._look, self._click)]
        self._load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)
        self.generations: list[str] = []
        self.clicks = self.late = 0
        self.failed_clicks: list[str] = []

    def _look(self) -> None:
        generations = Generations(self._system.client)
        while not self._stopping.wait(0.02):
            try:
                live = generations.live().name
            except Exception:
                continue
            if not self.generations or self.generations[-1] != live:
                self.generations.append(live)

    def _click(self) -> None:
        system, userid = self._system, self._system.events[0].userid
        while not self._stopping.wait(0.2):
            rated = system.post("/ratings", {"userid": userid, "itemid": system.catalogue_items()[0], "rating": 5})
            if rated.status_code != 202:
                continue
            after = {name: rated.json()[name] for name in ("partition", "offset")}
            self.clicks += 1
            answer = system.post("/ml/rec", {"userid": userid, "after": after, "size": 3})
            if answer.status_code != 200:
                self.failed_clicks.append(answer.text)
            elif "stream" in answer.json()["degraded"]:
                self.late += 1

    def start(self) -> None:
        super().start()
        self._load.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> list:
        """End it; the requests."""
        super().stop()
        for thread in self._threads:
            thread.join()
        return self._load.stop()


def require_all_count(system: System, sent: list[Event]) -> None:
    """The newest rating of each pair is in the seen filter, and `verify` finds no difference."""
    system.wait(120)
    newest: dict[tuple[int, int], tuple[int, int]] = {}
    stored = system.profiles.read_users(sorted({event.userid for event in sent}))
    for event in sent:
        newest[event.userid, event.itemid] = event.ts, event.rating
    lacking = [pair for pair, (ts, _) in newest.items() if stored[pair[0]][1].get(pair[1], (-1, 0))[0] < ts]
    assert lacking == []
    verified = system.verify()
    assert verified.differences == 0, verified.differing


def test_a_rebuild_under_load_fails_no_request_loses_no_event_and_switches_once(system: System) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > 2 * EVENTS_PER_S)
        done = rebuild()
        time.sleep(2.0)
        answers = running.stop()
    assert running.failure is None
    assert {request.status for request in answers} == {200}
    assert len(answers) > 3 * REQUESTS_PER_S
    assert running.clicks > 10 and running.failed_clicks == []
    print(f"{done}, {running.clicks} clicks of which {running.late} were answered before they were folded")
    assert running.generations == ["", done["generation"]]
    assert done["previous"] == "" and done["events"] > EVENTS_PER_S
    require_all_count(system, running.sent)
    letters = [(letter.partition, letter.offset) for letter in dead_events(system.settings.kafka)]
    assert len(letters) == len(set(letters)) == running.malformed > 0
    assert sum(system.profiles.dead().values()) == running.malformed


def test_the_feast_server_follows_the_switch(system: System) -> None:
    rebuild()
    userid = system.events[0].userid
    item = system.rec(userid=userid, size=1)["item_list"][0]["itemid"]
    system.rate(userid, item, 5)
    system.wait()
    count = system.profiles.profile(userid)[0].n
    address = f"http://127.0.0.1:{system.settings.feast.port}/get-online-features"
    body = {"features": ["user:n"], "entities": {"userid": [userid]}}

    def served() -> int:
        return requests.post(address, json=body, timeout=10).json()["results"][-1]["values"][0]

    until(lambda: served() == count, message=lambda: f"{served()}, not {count}")


def test_the_state_from_before_catches_up_when_it_is_switched_back_to_and_is_gone_once_dropped(system: System) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > EVENTS_PER_S)
        first = rebuild()
        until(lambda: len(running.sent) > 5 * EVENTS_PER_S, 60)
        back = rebuild("--back")
        assert back["generation"] == "" and back["previous"] == first["generation"] and back["events"] > 0
        forth = rebuild("--back")
        assert forth["generation"] == first["generation"] and forth["previous"] == ""
        answers = running.stop()
    assert running.failure is None
    assert {request.status for request in answers} == {200}
    assert running.failed_clicks == []
    assert running.generations == ["", first["generation"], "", first["generation"]]
    require_all_count(system, running.sent)
    assert rebuild("--drop") == {"dropped": [""]}
    old = StateStores.of(system.settings, "").profiles
    assert old.userids() == set() and old.applied() == [None] * old.partitions
    assert not OnlineRows(system.client, system.settings.feast.project).ids().users
    refused = subprocess.run(line("--back"), check=False, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 1 and "no previous state" in refused.stderr
    require_all_count(system, running.sent)


@pytest.mark.parametrize("half", [0, 1])
def test_killed_at_any_moment_a_rebuild_leaves_a_live_state_that_is_whole_and_can_be_run_again(
    system: System, half: int
) -> None:
    share = (half + random.SystemRandom().random()) / 2
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > EVENTS_PER_S)
        killed = subprocess.Popen(line(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        generations = Generations(system.client)
        until(lambda: generations.unused() or killed.poll() is not None, 120, "the rebuild does not begin")
        time.sleep(12 * share)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        after = generations.live().name
        done = rebuild()
        time.sleep(2.0)
        answers = running.stop()
    assert running.failure is None
    assert {request.status for request in answers} == {200}
    assert running.generations == list(dict.fromkeys(["", after, done["generation"]]))
    assert generations.unused() == []
    require_all_count(system, running.sent)


@pytest.mark.parametrize("store", ["worker-0", "redis"])
def test_a_worker_or_redis_killed_during_a_rebuild_costs_no_event(system: System, store: str) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > EVENTS_PER_S)
        rebuilding = subprocess.Popen(line("--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        generations = Generations(system.client)
        until(lambda: generations.unused() or rebuilding.poll() is not None, 120, "the rebuild does not begin")
        time.sleep(6 * random.SystemRandom().random())
        process = servers.pid(system.settings, store)
        assert process is not None
        os.kill(process, signal.SIGKILL)
        output, error = rebuilding.communicate(timeout=300)
        time.sleep(2.0)
        answers = running.stop()
    assert running.failure is None
    assert {request.status for request in answers} == {200}
    live = until(lambda: [generations.live().name], 60, not_yet=(Exception,))[0]
    if rebuilding.returncode == 0:
        assert live == json.loads(output)["generation"]
    else:
        assert store == "redis" and error.strip()
    require_all_count(system, running.sent)
    rebuild()
    assert generations.unused() == []
    require_all_count(system, running.sent)


def test_a_lost_state_is_rebuilt_with_every_acknowledged_event(system: System) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > 4 * EVENTS_PER_S)
        running.stop()
    system.wait()
    time.sleep(2.0)  # what is acknowledged is committed every second
    servers.stop(system.settings, ["redis"])
    shutil.rmtree(system.settings.state / "data" / "redis")
    servers.start(system.settings, ["redis"])
    userid = system.events[0].userid
    late = Event(userid, system.catalogue_items()[-1], 5, running.sent[-1].ts + 1)
    assert system.rate(late.userid, late.itemid, late.rating, late.ts)
    done = rebuild()
    assert done["previous"] is None and done["events"] >= len(running.sent)
    system.wait(60)
    published = subprocess.run(
        [sys.executable, "-m", "cli", "publish"], check=False, capture_output=True, text=True, timeout=300
    )
    assert published.returncode == 0, published.stderr
    system.wait_until_ready()
    require_all_count(system, [*running.sent, late])
    assert system.rec(userid=userid)["degraded"] == []
    letters = [(letter.partition, letter.offset) for letter in dead_events(system.settings.kafka)]
    assert len(letters) == len(set(letters)) == running.malformed > 0


def test_a_publish_during_a_rebuild_is_refused_in_one_line_that_names_it(system: System) -> None:
    with lock(system.settings, "rebuild", lambda what, share: None):
        command = [sys.executable, "-m", "cli", "publish"]
        refused = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines()[-1].count("rebuild on ") == 1
    assert "is at work" in refused.stderr
