"""`make soak`: events and requests for long, and whether anything grows, fails or complains meanwhile."""

from __future__ import annotations

import random
import re
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import servers
from bench import Load, failures
from features import Event
from stores import producer
from tests.faults.long_run import end, under_load
from tests.movielens import encode
from tests.system.conftest import System, running_system

USERS, ITEMS = 500, 300
"""So few that the state itself has stopped to grow after the first minutes: a user rates an item again, not anew."""

COMPLAINT = re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback)\b")
GROWTH = 0.05
"""Most that the memory of a part may differ between the last two thirds of the run, as a share."""

MIB_NOISE = 4.0
"""And the MiB that any process may differ by."""


def main() -> None:
    """Run the soak, print the figures, and exit with 1 where a promise is broken."""
    given = under_load("a long run under load", 60.0).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="reelstream-soak-") as folder,
        running_system(Path(folder), users=USERS, items=ITEMS, events=30 * USERS) as system,
    ):
        figures = soak(system, 60 * given.minutes, given.rate, given.requests)
    end(figures, broken_promises(figures), given.json)


def soak(system: System, seconds: float, rate: float, requests: float) -> dict[str, Any]:
    """Events and requests at a steady rate, and what became of them and of the memory of every part."""
    memory: dict[str, list[tuple[float, float]]] = {}
    load = Load(system.settings, sorted({event.userid for event in system.events}), requests)
    stopping = threading.Event()
    watching = threading.Thread(target=_watch, args=(system, memory, stopping, min(5.0, seconds / 15)), daemon=True)
    load.start()
    watching.start()
    try:
        began = time.monotonic()
        sent = send(system, seconds, rate)
        took = time.monotonic() - began
        system.wait(120)
    finally:
        stopping.set()
        watching.join()
        made = load.stop()
    found = system.verify()
    cuts = quantiles([request.ms for request in made], n=100)
    return {
        "seconds": round(took, 1),
        "events": sent,
        "events_per_s": round(sent / took, 1),
        "differences": found.differences,
        "requests": len(made),
        "failed": sum(request.status != 200 for request in made),
        "failures": failures(made),
        "degraded": sum(bool(request.degraded) for request in made),
        "p50_ms": round(cuts[49], 1),
        "p99_ms": round(cuts[98], 1),
        "memory_mb": {name: thirds(samples) for name, samples in memory.items()},
        "complaints": complaints(system.settings.state / "logs"),
    }


def thirds(samples: list[tuple[float, float]]) -> list[float]:
    """Mean memory in MiB in each third of the run."""
    begin, end = samples[0][0], samples[-1][0]
    parts: list[list[float]] = [[], [], []]
    for at, mib in samples:
        parts[min(2, int(3 * (at - begin) / (end - begin)))].append(mib)
    return [round(mean(part), 1) for part in parts]


def complaints(logs: Path) -> list[str]:
    """Lines of all logs that tell of an error."""
    return [
        f"{file.name}: {line.strip()}"
        for file in sorted(logs.glob("*.log"))
        for line in file.read_text(errors="replace").splitlines()
        if COMPLAINT.search(line)
    ]


def broken_promises(figures: dict[str, Any]) -> list[str]:
    """The promises that do not hold."""
    broken = [name for name in ("differences", "failed", "complaints") if figures[name]]
    for name, (_, middle, last) in figures["memory_mb"].items():
        if last - middle > max(GROWTH * middle, MIB_NOISE):
            broken.append(f"memory of {name}: {middle} MiB, then {last} MiB")
    return broken


def send(system: System, seconds: float, rate: float, padding: bytes = b"") -> int:
    """Ratings at a steady rate, each followed by `padding`, which is white space; how many."""
    rng = random.Random(1)
    users = sorted({event.userid for event in system.events})
    items = system.catalogue_items()
    client = producer(system.settings.kafka, linger_ms=5)
    began, sent = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        for _ in range(int(now * rate) - sent):
            event = Event(rng.choice(users), rng.choice(items), rng.randint(1, 5), int(time.time()))
            key, value = encode(event)
            partition = system.partition(event.userid)
            client.send(system.settings.kafka.topic, key=key, value=value + padding, partition=partition)
            sent += 1
        time.sleep(0.02)
    client.flush()
    client.close()
    return sent


def _watch(
    system: System, memory: dict[str, list[tuple[float, float]]], stopping: threading.Event, every_s: float
) -> None:
    while not stopping.wait(every_s):
        for part in servers.status(system.settings):
            memory.setdefault(part.name, []).append((time.monotonic(), part.memory_mb))


if __name__ == "__main__":
    main()
