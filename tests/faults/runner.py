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
from stores import Log
from tests.faults.faults import Fault
from tests.system.conftest import System

REQUESTS_PER_S = 10.0


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
        caught_up_s: seconds from the end of the fault until all that was sent could be served.
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
    rng = random.Random(seed)
    happened = threading.Thread(target=fault.happen, args=(system, rng))
    load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)

    def tell(report: Report) -> None:
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
    began = time.monotonic()
    _until_served(system, began + 120)
    caught_up_s = time.monotonic() - began
    time.sleep(1.0)
    requests = load.stop()
    found = system.verify()
    lost, twice = _count(system)
    return Outcome(
        fault.name,
        sent=done.sent,
        applied=done.sent - lost,
        lost=lost,
        twice=twice,
        differences=found.differences,
        caught_up_s=round(caught_up_s, 1),
        answered=sum(request.status == 200 for request in requests),
        degraded=sum(bool(request.degraded) for request in requests),
        failed=sum(request.status != 200 for request in requests),
    )


def begin_anew() -> None:
    """Delete the log and the state, and publish again."""
    command = [sys.executable, "-m", "cli", "publish", "--reset"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def _until_served(system: System, until: float) -> None:
    log = Log(system.settings.kafka)
    ends = log.ends()
    log.close()
    while True:
        assert time.monotonic() < until, "the stream does not catch up"
        try:
            served = system.profiles.served()
        except Exception:
            served = []
        if served and all((-1 if at is None else at) >= ends[shard] - 1 for shard, at in enumerate(served)):
            return
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
