"""Faults in which Kafka loses events that it acknowledged: each loss must be reported, and nothing else may be lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import servers
from cli.stream import noter
from features import Event
from producers import Pace, Recording, Report, replay
from stores import Unreachable, delete_topics, ensure_topics
from tests.faults.happening import Happening
from tests.polling import until
from tests.system.conftest import System

REPORTED_WITHIN_S = 60.0
PAUSE_S = 3.0
"""Seconds between a copy of the log and its coming back."""


@dataclass
class Acknowledgements:
    """Positions at which Kafka acknowledged the events of the replay, and the losses that were reported.

    Attributes:
        positions: by event, (partition, offset).
        reported: events whose loss was reported.
    """

    positions: dict[Event, tuple[int, int]] = field(default_factory=dict)
    reported: set[Event] = field(default_factory=set)

    def report(self, adopted: list[dict[str, Any]]) -> None:
        """Take what `reelstream adopt` says of partitions."""
        by_partition = {each["partition"]: each for each in adopted}
        for event, (partition, offset) in list(self.positions.items()):
            told = by_partition.get(partition)
            if told is None:
                continue
            after = told["lost_after"]
            if (after is not None and offset > after) or any(low <= offset <= high for low, high in told["lost"]):
                self.reported.add(event)


Lose = Callable[[System, random.Random, Acknowledgements], None]


def replayed_through(system: System, lose: Lose, seed: int, rate: float) -> tuple[Acknowledgements, float]:
    """Replay all events with a loss at a third; what Kafka acknowledged, and when the loss was over.

    A replay whose producer Kafka refuses, as it knows it no longer, is started again, as its error says.
    """
    acknowledged, over = Acknowledgements(), list[float]()

    def happen() -> None:
        lose(system, random.Random(seed), acknowledged)
        over.append(time.monotonic())

    happening = Happening(happen)

    def tell(report: Report) -> None:
        if report.present + report.sent > len(system.events) / 3:
            happening.begin()

    note = noter(system.settings, system.schema)

    def written(event: Event, position: Any) -> None:
        acknowledged.positions[event] = position.partition, position.offset
        note(event, position)

    for _ in range(5):
        try:
            replay(
                system.settings.kafka,
                Recording("faults", system.schema, system.events),
                pace=Pace.RATE,
                value=rate,
                stopping=threading.Event(),
                progress=tell,
                acknowledged=written,
            )
            break
        except Unreachable:
            time.sleep(1.0)
    else:
        raise AssertionError("Kafka refused the replay five times")
    happening.wait()
    return acknowledged, over[0]


def stopped(system: System) -> dict[str, str]:
    with suppress(Exception):
        return system.get("/health/ready").json().get("stopped") or {}
    return {}


def adopt_what_is_reported(system: System, acknowledged: Acknowledgements, *, must: bool) -> None:
    """Wait for the report of a loss, if there must be one, and go on with the log as it is."""
    if must:
        until(lambda: stopped(system), REPORTED_WITHIN_S, "the loss is not reported")
    for _ in range(5):
        command = [sys.executable, "-m", "cli", "adopt", "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        acknowledged.report(json.loads(done.stdout)["partitions"])
        time.sleep(2.0)
        if not stopped(system):
            return
    raise AssertionError(f"partitions are still stopped: {stopped(system)}")


def _kafka(system: System) -> Path:
    return system.settings.state / "data" / "kafka"


def data_lost(system: System, _: random.Random, acknowledged: Acknowledgements) -> None:
    """Kafka's data folder is gone."""
    servers.stop(system.settings, ["kafka"])
    shutil.rmtree(_kafka(system))
    servers.start(system.settings, ["kafka"])
    adopt_what_is_reported(system, acknowledged, must=True)


def older_copy(system: System, _: random.Random, acknowledged: Acknowledgements) -> None:
    """Kafka's data are restored from a copy some seconds old."""
    copy = _kafka(system).with_name("kafka-copy")
    servers.stop(system.settings, ["kafka"])
    shutil.copytree(_kafka(system), copy)
    servers.start(system.settings, ["kafka"])
    time.sleep(PAUSE_S)
    servers.stop(system.settings, ["kafka"])
    shutil.rmtree(_kafka(system))
    copy.rename(_kafka(system))
    servers.start(system.settings, ["kafka"])
    adopt_what_is_reported(system, acknowledged, must=True)


def topic_created_again(system: System, _: random.Random, acknowledged: Acknowledgements) -> None:
    """The topic is deleted and created again under running workers."""
    delete_topics(system.settings.kafka)
    ensure_topics(system.settings.kafka)
    adopt_what_is_reported(system, acknowledged, must=True)


def torn_tail(system: System, rng: random.Random, acknowledged: Acknowledgements) -> None:
    """Everything is killed at once, and the last segments and Redis's file lose 1 KB to 1 MB each."""
    for process in _all_processes(system):
        with suppress(psutil.Error):
            process.kill()
    for partition in rng.sample(range(system.settings.kafka.partitions), 4):
        folder = _kafka(system) / f"{system.settings.kafka.topic}-{partition}"
        _cut(max(folder.glob("*.log")), rng)
    _cut(max((system.settings.state / "data" / "redis" / "appendonlydir").glob("*.incr.aof")), rng)
    time.sleep(1.0)
    servers.up(system.settings)
    # Whatever is lost is noticed at the first comparison; a cut that took nothing but padding needs no report.
    time.sleep(5.0)
    adopt_what_is_reported(system, acknowledged, must=False)


def _all_processes(system: System) -> list[psutil.Process]:
    """The supervisor first, so that it starts nothing again."""
    supervisor = psutil.Process(psutil.Process(servers.pid(system.settings, "kafka")).ppid())
    return [supervisor, *supervisor.children(recursive=True)]


def _cut(file: Path, rng: random.Random) -> None:
    size = file.stat().st_size
    os.truncate(file, max(0, size - int(1024 * 1024 ** rng.random())))


@dataclass(frozen=True)
class Loss:
    """A fault that loses events.

    Attributes:
        name: what breaks.
        lose: breaks it, waits for the report, and adopts what is left.
        of_store: False if the API is down too, so that requests meanwhile cannot be answered.
    """

    name: str
    lose: Lose
    of_store: bool = True
    caught_up_within_s: float = 60.0


LOSSES = [
    Loss("kafka's data lost", data_lost),
    Loss("kafka restored to an older copy", older_copy),
    Loss("topic created again", topic_created_again),
    Loss("torn tail", torn_tail, of_store=False),
]
