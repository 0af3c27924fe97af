"""Make the state of a release for the upgrade test: `python -m tests.upgrade.make_fixture CHECKOUT FILE`.

CHECKOUT is a clone at the release, after `make setup`. Its own `reelstream` makes everything; this program only runs
it, so that it can pack the state of any release.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests
from kafka import KafkaProducer

from tests.servers_fixture import KEPT, free_ports_environment

USERS, ITEMS, EVENTS = 60, 120, 3000
HELD_OUT = 10 * USERS
REPLAYED = 2 * HELD_OUT // 3
RATED = 12
"""Ratings through the API."""
DEAD = 3
NOTE = "seen before the upgrade"

TRAINING = {
    "REELSTREAM_TRAIN__ENCODER_EPOCHS": "2",
    "REELSTREAM_TRAIN__RANKER_EPOCHS": "1",
    "REELSTREAM_TRAIN__DIM": "16",
    "REELSTREAM_TRAIN__LAYERS": "1",
}
DRIFT = {
    # A few hundred events say little: windows that they fill, and thresholds that they can exceed.
    "REELSTREAM_DRIFT__WINDOW": "200",
    "REELSTREAM_DRIFT__FALSE_ALARMS_PER_WEEK": "1e6",
}

REBUILT = ("api", "checkpoints", "config", "faust", "logs", "replay.lock", "replay.pid", "supervisor", "triton")
"""Files that no release reads again: logs, metrics, process ids, sockets, and what `up` generates."""


class Release:
    """A checkout of a release, and a state folder."""

    def __init__(self, checkout: Path, state: Path) -> None:
        self.checkout = checkout
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REELSTREAM_") or name in KEPT}
        kept.pop("ML1M_DIR", None)
        self.environment = {**kept, **free_ports_environment(state), **TRAINING, **DRIFT}

    def run(self, *words: str) -> str:
        """Run a command of the release; its standard output."""
        print("reelstream", *words, file=sys.stderr, flush=True)
        command = [str(self.checkout / ".venv" / "bin" / "reelstream"), *words]
        done = subprocess.run(
            command, env=self.environment, cwd=self.checkout, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def address(self, path: str) -> str:
        """The address of a path of its API."""
        return f"http://127.0.0.1:{self.environment['REELSTREAM_API__PORT']}{path}"


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the release did not get there in time")
        time.sleep(0.2)


def live(release: Release) -> None:
    """Let the release train, publish, and meet events of every kind."""
    size = ("--users", str(USERS), "--items", str(ITEMS), "--events", str(EVENTS))
    release.run("data", "make", *size, "--seed", "3")
    release.run("up")
    release.run("train")
    release.run("publish")
    until(lambda: requests.get(release.address("/health/ready"), timeout=10).ok)
    release.run("replay", "--rate", "100", "--limit", str(REPLAYED))
    for userid in range(1, RATED + 1):
        listed = requests.post(release.address("/ml/rec"), json={"userid": userid, "size": 1}, timeout=10).json()
        itemid = listed["item_list"][0]["itemid"]
        rating = {"userid": userid, "itemid": itemid, "rating": 1 + userid % 5}
        requests.post(release.address("/ratings"), json=rating, timeout=10).raise_for_status()
    producer = KafkaProducer(bootstrap_servers=release.environment["REELSTREAM_KAFKA__BOOTSTRAP"])
    for number in range(DEAD):
        producer.send("ratings", key=b"1", value=b"not an event %d" % number, headers=[("number", b"%d" % number)])
    producer.flush()
    producer.close()
    release.run("verify")
    until(lambda: bool(json.loads(release.run("drift", "list", "--json"))["causes"]))
    cause = json.loads(release.run("drift", "list", "--json"))["causes"][0]["cause"]
    release.run("drift", "ack", cause, NOTE)


def pack(state: Path, file: Path) -> None:
    """Pack a state folder without what is made again."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        path = Path(member.name)
        if path.parts[1:2] and path.parts[1] in REBUILT:
            return None
        if not (member.isfile() or member.isdir()):
            return None
        if member.isfile() and str(state).encode() in (state.parent / member.name).read_bytes():
            raise ValueError(f"{member.name} names a path of this machine")
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(file, "w:xz", preset=9) as packed:
        packed.add(state, "state", filter=kept)


def main() -> None:
    """Make the state and pack it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="reelstream-"))
    try:
        state = folder / "state"
        release = Release(given.checkout.resolve(), state)
        try:
            live(release)
        finally:
            release.run("down")
        pack(state, given.file)
    finally:
        shutil.rmtree(folder)
    print(f"{given.file}: {given.file.stat().st_size / 2**20:.1f} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
