"""More partitions for the log by a rebuild: under load, killed at a random moment, finished by the next one."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from features import Event
from lifecycle.erasure import sweep
from lifecycle.forgotten import search
from producers import dead_events, resend
from stores import Generations, LogError, ensure_topics, partition_of
from tests.movielens import encode
from tests.polling import until
from tests.system.conftest import System
from tests.system.growth import MORE, MOVED, growing, rebuilding

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def grown(system: System) -> Iterator[System]:
    with growing(system) as grown:
        yield grown


class Ratings:
    """Ratings through the API and requests for lists, until they are stopped.

    Attributes:
        accepted: by (user, item), the last rating that was acknowledged, as (seconds, stars).
        refused: answers to ratings that were not appended, and said so.
        uncertain: answers to ratings that may have been.
        failed: answers that should not have been.
    """

    def __init__(self, system: System) -> None:
        self._system, self._random, self._stopping = system, random.Random(5), threading.Event()
        self.accepted: dict[tuple[int, int], tuple[int, int]] = {}
        self.refused: list[str] = []
        self.uncertain: list[str] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=work) for work in (self._rate, self._ask)]

    def _rate(self) -> None:
        users, items = sorted({event.userid for event in self._system.events}), self._system.catalogue_items()
        ts = int(time.time()) - 1_000_000
        while not self._stopping.wait(0.02):
            ts += 1
            userid, itemid = self._random.choice(users), self._random.choice(items)
            stars = self._random.randint(1, 5)
            answer = self._system.post("/ratings", {"userid": userid, "itemid": itemid, "rating": stars, "ts": ts})
            if answer.status_code == 202:
                self.accepted[userid, itemid] = (ts, stars)
            elif answer.status_code == 503 and "partitions are being added" in answer.text:
                assert "Retry-After" in answer.headers
                self.refused.append(answer.text)
            elif answer.status_code == 503 and "did not acknowledge" in answer.text:
                self.uncertain.append(answer.text)
                self.accepted.pop((userid, itemid), None)
            else:
                self.failed.append(answer.text)

    def _ask(self) -> None:
        users = sorted({event.userid for event in self._system.events})
        while not self._stopping.wait(0.05):
            answer = self._system.post("/ml/rec", {"userid": self._random.choice(users), "size": 3})
            if answer.status_code != 200 or len(answer.json()["item_list"]) != 3:
                self.failed.append(answer.text)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def ratings(system: System) -> Iterator[Ratings]:
    running = Ratings(system)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def test_partitions_are_added_under_load_by_a_rebuild_that_is_killed_and_run_again(grown: System) -> None:
    system = grown
    with pytest.raises(LogError, match=rf"has 8 partitions, .*kafka.partitions is {MORE}; .*`reelstream rebuild`"):
        ensure_topics(system.settings.kafka)
    system.rate(MOVED, system.catalogue_items()[0], 5)
    with ratings(system) as running:
        until(lambda: len(running.accepted) > 50, 60)
        killed = rebuilding()
        time.sleep(random.uniform(2.0, 12.0))
        killed.kill()
        killed.communicate()
        between = len(running.accepted)
        until(lambda: len(running.accepted) > between, 90)
        finished = rebuilding()
        told, errors = finished.communicate(timeout=300)
        assert finished.returncode == 0, errors
        after = len(running.accepted)
        until(lambda: len(running.accepted) > after + 20, 90)
    assert running.failed == []
    assert len(running.refused) > 0
    assert json.loads(told)["partitions"] == MORE
    live = Generations(system.client).live()
    assert (live.partitions, live.appending, live.epochs) == (MORE, None, 1)
    system.wait(120)
    stored = system.profiles.read_users(sorted({userid for userid, _ in running.accepted}))
    for (userid, itemid), rated in running.accepted.items():
        assert stored[userid][1][itemid] == (rated,)
    assert list(dead_events(system.settings.kafka)) == []
    require_late_event_is_recovered(system)
    verified = system.verify()
    assert verified.differences == 0, verified.differing
    assert verified.sampled > 0
    assert verified.inputs > 0
    require_nothing_is_left_of_an_erased_user(system)


def require_late_event_is_recovered(system: System) -> None:
    """An event by the former number of partitions is a dead letter, which counts once it is sent again."""
    moved = (event.userid for event in system.events if system.partition(event.userid) != partition_of(event.userid, 8))
    userid = next(moved)
    late = Event(userid, system.catalogue_items()[0], 1, int(time.time()))
    system.send([(*encode(late), partition_of(userid, 8))])
    until(lambda: [letter.reason for letter in dead_events(system.settings.kafka)], 60)
    (letter,) = dead_events(system.settings.kafka)
    assert letter.reason == "event is in another partition than its key says"
    assert resend(system.settings.kafka, lambda letter: True).sent == 1
    system.wait(60)
    assert system.profiles.read_users([userid])[userid][1][late.itemid] == ((late.ts, late.code),)


def require_nothing_is_left_of_an_erased_user(system: System) -> None:
    """Not in the partition that was the user's before, either."""
    system.rate(MOVED, system.catalogue_items()[1], 4)
    requests.delete(f"{system.api}/users/{MOVED}", timeout=30).raise_for_status()
    system.wait_for_drift(120)
    swept = sweep(system.settings, now=True, progress=lambda what, share: None)
    assert (swept.users, swept.records) == (1, 3)
    assert search(system.settings, MOVED, lambda *_: None) == []
    system.wait()
    assert system.verify().differing == {}
