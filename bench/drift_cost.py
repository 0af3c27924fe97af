"""The cost of drift monitoring and its delay: real replays on the running system, with drift off and on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import requests

import servers
from bench.throughput import Reset, catch_up, counted, send, until
from producers import Pace, Recording
from settings import Settings

RATE = 500.0
"""Events a second at which delays are measured."""

WARM_UP_S = 10.0
"""Seconds of the same before: a worker that has just begun still loads what it counts with."""

SECONDS = 30.0


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
        found = catch_up(settings, recording, on, reset)
        rates[on].append(found.events_per_s)
        work[on].append(found.of_workers)
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
    send(settings, some, Pace.RATE, RATE)
    until(lambda: counted(settings) >= len(some.events))


def _buckets(settings: Settings) -> list[tuple[float, float]]:
    text = requests.get(f"http://127.0.0.1:{settings.stream.metrics_port}/metrics", timeout=10).text
    buckets = []
    for line in text.splitlines():
        if line.startswith("reelstream_drift_delay_seconds_bucket"):
            buckets.append((float(line.split('"')[1]), float(line.split()[-1])))
    return buckets
