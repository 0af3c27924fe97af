"""The time from nothing running to all healthy, and from a killed worker to caught up.

The baseline of a killed worker is one that is stopped in order and started again.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from statistics import median
from typing import Any

import servers
from bench.load import events_sent
from bench.throughput import folded, until
from features import Id, Schema
from settings import Settings
from stores import Log

BEFORE_S = 3.0
"""Seconds of events before a worker ends."""

BEHIND_S = 0.1
"""A worker has caught up once no more events wait than come within so many seconds."""


def start(
    settings: Settings,
    schema: Schema,
    userids: Sequence[Id],
    items: Sequence[Id],
    per_s: float,
    rounds: int,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """Stop and start everything, then end a worker under events in both ways, in turn.

    Args:
        settings: all settings.
        schema: of the data set.
        userids, items: whose events are sent; they stay in the state.
        per_s: events a second.
        rounds: of each; medians count.
        progress: told of the share that is done.

    Returns:
        `up`: seconds until all components are healthy, and of each component; `killed` and `restarted`: seconds from
        the end of the worker until an event is folded again, and until it has caught up; `ratio` of the latter.

    Raises:
        ServersError: if something does not start.
        Unreachable: if a worker does not catch up.
    """
    ups: list[dict[str, float]] = []
    for done in range(rounds):
        progress("stopping and starting everything", done / rounds)
        servers.down(settings)
        began = time.monotonic()
        ups.append({each.name: each.seconds for each in servers.up(settings)} | {"all": time.monotonic() - began})
    ends: dict[str, list[tuple[float, float]]] = {"killed": [], "restarted": []}
    for done in range(rounds):
        for way, found in ends.items():
            progress(f"a worker is {way}", done / rounds)
            with events_sent(settings, schema, userids, items, per_s):
                time.sleep(BEFORE_S)
                found.append(_ended(settings, per_s, way == "killed"))
    figures: dict[str, Any] = {
        "up": {name: round(median(each[name] for each in ups), 2) for name in ups[0]},
        "events_per_s": per_s,
        "rounds": rounds,
    }
    for way, found in ends.items():
        first, caught_up = (round(median(seconds), 2) for seconds in zip(*found, strict=True))
        figures[way] = {"first_s": first, "caught_up_s": caught_up}
    figures["ratio"] = round(figures["killed"]["caught_up_s"] / figures["restarted"]["caught_up_s"], 2)
    return figures


def _ended(settings: Settings, per_s: float, killed: bool) -> tuple[float, float]:
    """End the first worker; seconds until an event is folded again, and until it has caught up."""
    began = time.monotonic()
    if killed:
        os.kill(servers.pid(settings, "worker-0"), signal.SIGKILL)
        before = folded(settings)
    else:
        servers.stop(settings, ["worker-0"])
        before = folded(settings)
        servers.start(settings, ["worker-0"])
    until(lambda: folded(settings) > before)
    first = time.monotonic() - began
    with closing(Log(settings.kafka)) as log:
        until(lambda: sum(log.ends().values()) - folded(settings) <= max(1.0, BEHIND_S * per_s))
    return first, time.monotonic() - began
