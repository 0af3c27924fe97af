"""Users of whom nothing is left, in a running system: after a replay, and by the archiver once a day."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from features import Event
from lifecycle.erasure import sweep
from lifecycle.forgotten import search
from offline.data import readers
from stores import delete_topics, ensure_topics
from tests.archives import archive_all
from tests.commands import in_own_process
from tests.faults.erasing import broken_promises, erase_in_a_replay
from tests.movielens import user
from tests.polling import until
from tests.system.conftest import System

pytestmark = pytest.mark.timeout(600)

USER, ADOPTED = 700_010, 700_011


def erase(system: System, userid: int) -> None:
    requests.delete(f"{system.api}/users/{userid}", timeout=30).raise_for_status()


@pytest.fixture(scope="module", autouse=True)
def _in_order(system: System) -> Iterator[None]:
    """Leave the system in order to the tests that follow."""
    yield
    start_over(system)


def start_over(system: System) -> None:
    """An empty log, and the history of all users, which a reset alone would not bring back."""
    shutil.rmtree(system.settings.archive_folder, ignore_errors=True)
    system.start_over()


def test_users_erased_in_a_replay_leave_no_difference_no_count_and_no_trace(system: System) -> None:
    start_over(system)
    folder = system.settings.data_folder
    aside = folder.with_name("data-before")
    try:
        figures = erase_in_a_replay(system, 6, rate=300.0, aside=aside)
    finally:
        if aside.exists():
            aside.rename(folder)
    assert broken_promises(figures) == [], json.dumps(figures)
    assert figures["sweep"]["records"] > 0


def test_the_archiver_has_the_rest_of_a_user_deleted_when_the_last_erasure_was_a_day_ago(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.send_events([Event(USER, itemid, 4, 1_000 + itemid) for itemid in system.catalogue_items()[:5]])
    system.send([(b"700010", b"no event", system.partition(USER))])
    erase(system, USER)
    system.wait_for_drift()
    assert search(system.settings, USER, lambda *_: None) != []
    monkeypatch.setenv("REELSTREAM_ERASURE__WITHIN_DAYS", "0")
    mark = system.settings.erasure_mark
    mark.touch()
    os.utime(mark, (1, 1))
    archiver = subprocess.Popen([sys.executable, "-m", "stream.archive"])
    try:
        until(lambda: mark.stat().st_mtime > 1, 120, lambda: f"archiver: {archiver.poll()}")
    finally:
        archiver.terminate()
        assert archiver.wait(60) == 0
    assert search(system.settings, USER, lambda *_: None) == []
    system.wait()
    assert system.verify().differing == {}


def test_users_erased_in_a_log_that_was_given_up_stay_unknown_and_are_swept_all_the_same(system: System) -> None:
    """One whose erasure is in the archive alone, and one whose erasure only the saved state knows."""
    start_over(system)
    of_history, items = system.events[0].userid, system.catalogue_items()[:5]
    system.send_events([*system.events[:40], *(Event(ADOPTED, itemid, 4, 1_000 + itemid) for itemid in items)])
    erase(system, ADOPTED)
    system.wait()
    archive_all(system.settings)
    erase(system, of_history)
    system.wait()
    delete_topics(system.settings.kafka)
    ensure_topics(system.settings.kafka)
    adopted = in_own_process("adopt")
    assert adopted.returncode == 0 and "archive is set aside" in adopted.stderr + adopted.stdout, adopted.stderr
    until(lambda: not system.get("/health/ready").json().get("stopped"))
    system.rate(of_history, items[0], 5, 2_000)
    system.wait_for_drift()
    assert system.profiles.attributes([of_history]) == {of_history: user(of_history)}
    assert system.verify().differing == {}
    swept = sweep(system.settings, now=True, progress=lambda what, share: None)
    # The events of the one with their erasure, and those of the other.
    assert swept.users == 2 and swept.records > len(items) + 1
    assert of_history not in readers.load(system.settings).catalogue.users
    assert search(system.settings, ADOPTED, lambda *_: None) == []
    assert system.profiles.profile(of_history)[0] is not None, "who has come back since"
    system.wait()
    assert system.verify().differing == {}
    again = sweep(system.settings, now=True, progress=lambda what, share: None)
    assert again.users == 0 and again.left == str(system.settings.data_folder)
