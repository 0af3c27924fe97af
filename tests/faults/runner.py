"""A replay with a fault in its middle, and what came of it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass

from bench import Load
from producers import Pace, Report, replay
from tests.faults.faults import Fault
from tests.faults.watch import Watch
from tests.system.conftest import System

REQUESTS_PER_S = 10.0
LONGEST_S = 120.0
"""A stream that has not caught up by then never will."""


@dataclass
class Outcome:
    """What came of a fault.

    Attributes:
        fault: what broke.
        sent: events that Kafka acknowledged.
        applied: of those, how many the state holds.
        lost: how many it does not.
        twice: how many it counts more than once.
        differences: what `reelstream verify` finds.
        caught_up_s: seconds from the end of the fault until the stream was no longer more than a second behind.
        answered, degraded, failed: requests meanwhile; degraded ones are among the answered.
    """

    fault: str
    sent: int
    applied: int
    lost: int
    twice: int
    differences: int
    caught_up_s: float
    answered: int
    degraded: int
    failed: int

    def line(self) -> str:
        """All of it in one line."""
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def run(system: System, fault: Fault, *, seed: int, rate: float) -> Outcome:
    """Begin anew, replay all held-out events at `rate` a second, let the fault happen at a third, and look."""
    begin_anew()
    over: list[float] = []

    def happen() -> None:
        fault.happen(system, random.Random(seed))
        over.append(time.monotonic())

    happened = threading.Thread(target=happen)
    load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)
    watch = Watch(system.profiles, len(system.events), rate)
    watching = threading.Event()

    def tell(report: Report) -> None:
        if not watching.is_set():
            watching.set()
            watch.start(time.monotonic() - report.seconds)
        if report.sent > len(system.events) / 3 and happened.ident is None:
            happened.start()

    load.start()
    done = replay(
        system.settings.kafka,
        system.events,
        "faults",
        pace=Pace.RATE,
        value=rate,
        stopping=threading.Event(),
        progress=tell,
    )
    happened.join()
    _until_served(watch)
    time.sleep(1.0)
    watch.stop()
    requests = load.stop()
    assert over, f"{fault.name}: the fault itself failed"
    found = system.verify()
    lost, twice = _count(system)
    return Outcome(
        fault.name,
        sent=done.sent,
        applied=done.sent - lost,
        lost=lost,
        twice=twice,
        differences=found.differences,
        caught_up_s=round(watch.caught_up_s(over[0]), 1),
        answered=sum(request.status == 200 for request in requests),
        degraded=sum(bool(request.degraded) for request in requests),
        failed=sum(request.status != 200 for request in requests),
    )


def begin_anew() -> None:
    """Delete the log and the state, and publish again."""
    command = [sys.executable, "-m", "cli", "publish", "--reset"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def _until_served(watch: Watch) -> None:
    until = time.monotonic() + LONGEST_S
    while not watch.caught_up():
        assert time.monotonic() < until, "the stream does not catch up"
        time.sleep(0.1)


def _count(system: System) -> tuple[int, int]:
    """Events of the replay that the state does not hold, and items that it counts more than once."""
    stored = system.profiles.read_users(sorted({event.userid for event in system.events}))
    lost = twice = 0
    for event in system.events:
        profile, seen = stored.get(event.userid, (None, {}))
        lost += event.itemid not in seen or seen[event.itemid] < (event.ts, event.rating)
    for profile, seen in stored.values():
        twice += max(0, profile.n - len(seen))
    return lost, twice
