"""A replay with a fault in its middle, and what came of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from hashlib import sha256

from bench import Load
from features import Event, EventError
from producers import Pace, Recording, Report, dead_events, replay
from stores import Published, decode_event
from tests.faults.faults import Fault
from tests.faults.happening import Happening
from tests.faults.losses import Loss, replayed_through
from tests.faults.watch import Watch
from tests.polling import until
from tests.system.conftest import System
from verify import Verified

REQUESTS_PER_S = 10.0
LONGEST_S = 120.0
"""A stream that has not caught up by then never will."""


@dataclass
class Outcome:
    """Counts and figures of a replay with a fault.

    Attributes:
        fault: what broke.
        sent: events that Kafka acknowledged.
        applied: of those, how many the state holds.
        lost: how many it does not, and malformed ones that are not in the topic of dead letters with their reason.
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
    reported: int = 0

    def line(self) -> str:
        """All of it in one line."""
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def run(system: System, fault: Fault, *, seed: int, rate: float) -> Outcome:
    """Begin anew, replay all held-out events, let the fault happen at a third, and look.

    The replay sends the fault's share of `rate` events a second.
    """
    system.start_over()
    rate *= fault.share
    load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)
    load.start()
    try:
        if fault.replayer_dies:
            sent, caught_up_s = _replayed_by_two(system, rate)
        else:
            sent, caught_up_s = _replayed_through(system, fault, seed, rate)
        time.sleep(1.0)
    finally:
        requests = load.stop()
    found = _verified(system)
    lost, twice = _count(system)
    return Outcome(
        fault.name,
        sent=sent,
        applied=sent - lost,
        lost=lost + _untold(system),
        twice=twice,
        differences=found.differences,
        caught_up_s=round(caught_up_s, 1),
        answered=sum(request.status == 200 for request in requests),
        degraded=sum(bool(request.degraded) for request in requests),
        failed=sum(request.status != 200 for request in requests),
    )


def run_loss(system: System, loss: Loss, *, seed: int, rate: float) -> Outcome:
    """Begin anew, replay all held-out events, let Kafka lose some at a third, and look."""
    system.start_over()
    load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)
    load.start()
    try:
        acknowledged, over = replayed_through(system, loss.lose, seed, rate)
        system.wait(LONGEST_S)
        caught_up_s = time.monotonic() - over
        time.sleep(1.0)
    finally:
        requests = load.stop()
    found = _verified(system)
    missing = set(_missing(system))
    reported = missing & acknowledged.reported
    return Outcome(
        loss.name,
        sent=len(acknowledged.positions),
        applied=len(acknowledged.positions) - len(missing),
        lost=len(missing - reported) + _untold(system),
        twice=_counted_twice(system),
        differences=found.differences,
        caught_up_s=round(caught_up_s, 1),
        answered=sum(request.status == 200 for request in requests),
        degraded=sum(bool(request.degraded) for request in requests),
        failed=sum(request.status != 200 for request in requests),
        reported=len(reported),
    )


def _replayed_through(system: System, fault: Fault, seed: int, rate: float) -> tuple[int, float]:
    """Events sent by a replay with the fault in its middle, and seconds until the stream had caught up."""
    over: list[float] = []

    def happen() -> None:
        begun = time.monotonic()
        fault.happen(system, random.Random(seed))
        over.append(time.monotonic() if fault.caught_up_within_s else begun)

    happening = Happening(happen)
    with Watch(system.profiles, len(system.events), rate) as watch:

        def tell(report: Report) -> None:
            if not watch.started:
                watch.start(time.monotonic() - report.seconds)
            if report.sent > len(system.events) / 3:
                happening.begin()

        done = replay(
            system.settings.kafka,
            Recording("faults", system.schema, system.events),
            pace=Pace.RATE,
            value=rate,
            stopping=threading.Event(),
            progress=tell,
        )
        happening.wait()
        until(watch.caught_up, LONGEST_S, "the stream does not catch up")
        system.wait(LONGEST_S)
    return done.sent, watch.caught_up_s(over[0])


def _replayed_by_two(system: System, rate: float) -> tuple[int, float]:
    """Events sent by a replayer that is killed at a third and one that goes on, and seconds until all were served."""
    command = [sys.executable, "-m", "cli", "replay", "--rate", str(rate), "--json"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = len(system.events) / 3
    try:
        until(lambda: len(system.log()) >= begun or first.poll() is not None, LONGEST_S, "the replay does not begin")
        assert first.poll() is None, "the replay ended before it could be killed"
    finally:
        first.kill()
        first.wait()
    second = subprocess.run(command, check=True, capture_output=True, text=True)
    ended = time.monotonic()
    system.wait(LONGEST_S)
    told = json.loads(second.stdout)
    assert told["present"] > 0
    assert told["present"] + told["sent"] == len(system.log()) == len(system.events)
    return len(system.events), time.monotonic() - ended


def _count(system: System) -> tuple[int, int]:
    """Events of the replay that the state does not hold, and items that it counts more than once."""
    return len(_missing(system)), _counted_twice(system)


def _missing(system: System) -> list[Event]:
    """Events of the replay that the state does not hold."""
    stored = system.profiles.read_users(sorted({event.userid for event in system.events}))
    nothing = ((-1, 0),)
    held = {userid: seen for userid, (_, seen) in stored.items()}
    found = ((event, held.get(event.userid, {}).get(event.itemid, nothing)) for event in system.events)
    return [event for event, ((ts, rating),) in found if ts < event.ts or (ts == event.ts and rating != event.code)]


def _verified(system: System) -> Verified:
    """Result of verify; the first differences are printed."""
    found = system.verify()
    for name, difference in list(found.differing.items())[:5]:
        print(f"{name}: {difference}", file=sys.stderr)
    return found


def _counted_twice(system: System) -> int:
    """Items that a profile counts more than once."""
    stored = system.profiles.read_users(sorted({event.userid for event in system.events}))
    return sum(max(0, profile.n - len(seen)) for profile, seen in stored.values())


def _untold(system: System) -> int:
    """Malformed events of the log that are not among the dead with the right reason, and the other way round."""
    schema = Published(system.profiles.client).schema()
    bad = set()
    for record in system.log():
        try:
            decode_event(record, schema, system.settings.kafka.partitions, system.settings.stream.max_future_s)
        except EventError as error:
            bad.add((record.partition, record.offset, str(error), hashed(record.key), hashed(record.value)))
    told = set()
    for letter in dead_events(system.settings.kafka):
        parts = [
            letter.cut[name].sha256 if name in letter.cut else hashed(getattr(letter, name))
            for name in ("key", "value")
        ]
        told.add((letter.partition, letter.offset, letter.reason, *parts))
    return len(bad ^ told)


def hashed(part: bytes | None) -> str | None:
    """SHA-256 of a part of a record."""
    return None if part is None else sha256(part).hexdigest()
