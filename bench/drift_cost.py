"""The cost of drift monitoring and its delay: real replays on the running system, with drift off and on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil
import requests

import servers
from producers import Pace, Recording, replay
from settings import Settings
from stores import DriftStore, StateStores, Unreachable, connect

Reset = Callable[[], None]
"""Deletes the live state and starts over, with the workers stopped."""

RATE = 500.0
"""Events a second at which delays are measured."""

WARM_UP_S = 10.0
"""Seconds of the same before: a worker that has just begun still loads what it counts with."""

SECONDS = 30.0

PATIENCE_S = 600.0


def drift_cost(
    settings: Settings, recording: Recording, rounds: int, reset: Reset, progress: Callable[[str, float], None]
) -> dict[str, Any]:
    """Events a second in catch-up with drift off and on, in turn, and delays at a steady rate.

    Raises:
        Unreachable: if the stream does not catch up.
    """
    rates: dict[bool, list[float]] = {False: [], True: []}
    work: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * rounds):
        on = bool(number % 2)
        progress(f"catching up with drift {'on' if on else 'off'}", number / (2 * rounds + 1))
        rate, us = catch_up(settings, recording, on, reset)
        rates[on].append(rate)
        work[on].append(us)
    progress("measuring delays", 1 - 1 / (2 * rounds + 1))
    delays = measured_delays(settings, recording, reset)
    off, on_ = (float(np.median(rates[drift])) for drift in (False, True))
    return {
        "throughput_ratio": round(on_ / off, 3),
        "events_per_s_off": [round(value) for value in rates[False]],
        "events_per_s_on": [round(value) for value in rates[True]],
        "worker_cpu_us_per_event_off": [round(value) for value in work[False]],
        "worker_cpu_us_per_event_on": [round(value) for value in work[True]],
        "delay_s": delays,
    }


def catch_up(settings: Settings, recording: Recording, on: bool, reset: Reset) -> tuple[float, float]:
    """Let the worker fold a log that is there in full; the first tenth is its warming up.

    Returns:
        (events a second until all are folded, microseconds of the worker's processor time for an event until drift has
        counted it too).
    """
    servers.stop(settings, ["workers"])
    reset()
    _send(settings, recording, Pace.MAX, 1.0)
    servers.start(settings.model_copy(update={"drift": settings.drift.model_copy(update={"enabled": on})}), ["workers"])
    worker = psutil.Process(servers.pid(settings, "worker-0"))
    began = _until(lambda: _folded(settings) >= len(recording.events) / 10)
    first, used = _folded(settings), _cpu_s(worker)
    ended = _until(lambda: _folded(settings) >= len(recording.events))
    if on:
        _until(lambda: _counted(settings) >= len(recording.events))
    done = len(recording.events) - first
    return done / (ended - began), 1e6 * (_cpu_s(worker) - used) / done


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measured_delays(settings: Settings, recording: Recording, reset: Reset) -> dict[str, float]:
    """Seconds from an event's sending until it is in the counts of drift, from the worker's own histogram.

    Returns:
        p50, p99, and p99_warming_up of the seconds in which the worker has just begun: the upper bound of the bucket in
        which the quantile lies.
    """
    servers.stop(settings, ["workers"])
    reset()
    servers.start(settings, ["workers"])
    _send_steadily(settings, recording, WARM_UP_S)
    first = _buckets(settings)
    _send_steadily(settings, recording, WARM_UP_S + SECONDS)
    then = [(bound, count - before) for (bound, count), (_, before) in zip(_buckets(settings), first, strict=True)]
    return {"p50": _quantile(then, 0.5), "p99": _quantile(then, 0.99), "p99_warming_up": _quantile(first, 0.99)}


def _quantile(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """Upper bound of the bucket in which a quantile lies."""
    return next(bound for bound, count in buckets if count >= share * buckets[-1][1])


def _send_steadily(settings: Settings, recording: Recording, until_s: float) -> None:
    """Send what is due until then and is not there yet, and wait until drift has counted it."""
    some = recording.first(int(RATE * until_s))
    _send(settings, some, Pace.RATE, RATE)
    _until(lambda: _counted(settings) >= len(some.events))


def _buckets(settings: Settings) -> list[tuple[float, float]]:
    text = requests.get(f"http://127.0.0.1:{settings.stream.metrics_port}/metrics", timeout=10).text
    buckets = []
    for line in text.splitlines():
        if line.startswith("reelstream_drift_delay_seconds_bucket"):
            buckets.append((float(line.split('"')[1]), float(line.split()[-1])))
    return buckets


def _send(settings: Settings, recording: Recording, pace: Pace, value: float) -> None:
    replay(
        settings.kafka,
        recording,
        pace=pace,
        value=value,
        stopping=threading.Event(),
        progress=lambda report: None,
    )


def _folded(settings: Settings) -> int:
    profiles = StateStores.live(settings).profiles
    return sum(0 if offset is None else offset + 1 for offset in profiles.visible_offsets())


def _counted(settings: Settings) -> int:
    return sum(counts.events for counts in DriftStore(connect(settings.redis)).counts().values())


def _until(holds: Callable[[], bool]) -> float:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise Unreachable("the stream did not catch up; see `reelstream status`")
        time.sleep(0.02)
    return time.monotonic()
