"""The state of an earlier release, taken over by today's code while requests and events arrive."""

from __future__ import annotations

import json
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

import servers
from settings import Settings
from tests.commands import command, in_own_process, succeed
from tests.servers_fixture import own_environment
from tests.upgrade.make_fixture import DEAD, DRIFT, HELD_OUT, NOTE, RATED, REPLAYED, TRAINING, USERS

pytestmark = [pytest.mark.timeout(600), pytest.mark.servers]

FIXTURES = sorted(Path(__file__).parent.glob("state-*.tar.xz"))
PER_S = 20
QUICKLY = {f"REELSTREAM_TRAIN__{name}": "1" for name in ("REFIT_EPOCHS", "RANKER_MODELS", "THREADS")}


@contextmanager
def unpacked(fixture: Path, folder: Path) -> Iterator[Settings]:
    """Settings of a fixture's state in a folder; what runs there is stopped afterwards."""
    with tarfile.open(fixture) as packed:
        packed.extractall(folder, filter="data")
    data = str(folder / "state" / "data")
    with own_environment(folder / "state", ML1M_DIR=data, **TRAINING, **QUICKLY, **DRIFT) as settings:
        try:
            yield settings
        finally:
            servers.down(settings)


def run(*words: str) -> str:
    """Run a command that must succeed, as a user does; its standard output."""
    done = in_own_process(*words)
    assert done.returncode == 0, f"reelstream {' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout


def has_other_counts() -> bool:
    """Say whether the state is of another version than today's code declares, as doctor finds it."""
    findings = {finding["promise"]: finding for finding in json.loads(command("doctor", "--json").stdout)}
    words: str = findings["state and run are of this release"]["words"]
    return "run `reelstream rebuild`" in words


class Requests:
    """Requests for lists at a steady rate, from the moment that the API is ready."""

    def __init__(self, settings: Settings) -> None:
        self._address = f"http://127.0.0.1:{settings.api.port}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.answers: Counter[int | str] = Counter()

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, and wait for the last answer."""
        self._stopping.set()
        self._thread.join()

    def ask(self, method: str, path: str, **body: int) -> Any:
        """One request beside the others; its answer."""
        answer = requests.request(method, self._address + path, json=body or None, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def _ready(self, session: requests.Session) -> bool:
        try:
            return session.get(f"{self._address}/health/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def _send(self) -> None:
        with requests.Session() as session:
            while not self._stopping.is_set() and not self._ready(session):
                time.sleep(0.05)
            sent, began = 0, time.monotonic()
            while not self._stopping.wait(max(0.0, began + sent / PER_S - time.monotonic())):
                sent += 1
                body = {"userid": 1 + sent % USERS, "size": 5}
                try:
                    self.answers[session.post(f"{self._address}/ml/rec", json=body, timeout=30).status_code] += 1
                except requests.RequestException as error:
                    self.answers[type(error).__name__] += 1


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_the_state_of_an_earlier_release_is_taken_over_without_a_difference_or_a_failed_request(
    fixture: Path, tmp_path: Path
) -> None:
    with unpacked(fixture, tmp_path) as settings, Requests(settings) as sent:
        run("up")
        assert NOTE in {cause["note"] for cause in sent.ask("GET", "/drift/alarms")["causes"]}
        listed = sent.ask("POST", "/ml/rec", userid=2, size=1)
        sent.ask("POST", "/ratings", userid=2, itemid=listed["item_list"][0]["itemid"], rating=4)
        if has_other_counts():
            run("rebuild")
        replayed = json.loads(run("replay", "--rate", "100", "--json"))
        assert replayed["present"] == REPLAYED and replayed["sent"] == HELD_OUT - REPLAYED
        listed = sent.ask("POST", "/ml/rec", userid=1, size=1)
        sent.ask("POST", "/ratings", userid=1, itemid=listed["item_list"][0]["itemid"], rating=5)
        # Runs and indices of other formats are served, and replaced by those of today.
        run("train")
        run("publish")
        run("doctor")
        found = succeed("verify")
        sent.stop()
        assert found["differences"] == 0
        assert found["events"] >= HELD_OUT + RATED + 2
        assert set(sent.answers) == {200} and sent.answers[200] >= PER_S
        letters = succeed("dead", "list")
        assert letters["events"] == DEAD


def test_there_is_a_fixture() -> None:
    assert FIXTURES
