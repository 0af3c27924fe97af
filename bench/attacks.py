"""Lists under attack: latency and failures of a steady load while hostile clients are at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

import servers
from api.security.tokens import is_loopback
from bench.attacker import KINDS, TOKEN
from bench.hot_publish import percentiles
from bench.load import Load, Request, failures
from features import Id
from settings import ReelstreamError, Settings

REST_S = 2.0
"""Seconds after an attack in which requests count for nothing: what the attack left behind is still at work."""

WARM_UP_S = 5.0


def attacks(
    settings: Settings,
    userids: Sequence[Id],
    *,
    per_s: float,
    seconds: float,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """Ask for lists at a steady rate, in turn without an attack and under one; the baseline is all time without.

    Args:
        settings: all settings; the API must be on the loopback address of this machine.
        userids: whose lists are asked for.
        per_s: requests a second.
        seconds: length of each attack, and of each quiet time before and after it.
        progress: told of each step.

    Returns:
        For the quiet time and each attack: requests, failed and degraded ones, p50 and p99 in milliseconds, the ratio
        of the p99 to that of the quiet time, and CPU seconds of the API a second; for an attack also what was answered
        to it.
    """
    if not is_loopback(settings.api.host):
        raise ReelstreamError("bench attacks needs an API on the loopback address; see the setting api.host")
    load = Load(settings, userids, per_s)
    load.start()
    spans: dict[str, list[tuple[float, float]]] = {"quiet": []}
    cpu: dict[str, float] = {"quiet": 0.0}
    answered: dict[str, Any] = {}

    def take(name: str, work: Callable[[], None]) -> None:
        began, before = load.now(), cpu_s(settings)
        work()
        cpu[name] = cpu.get(name, 0.0) + cpu_s(settings) - before
        spans.setdefault(name, []).append((began, load.now()))

    time.sleep(WARM_UP_S)
    for number, kind in enumerate(KINDS):
        progress("no attack", number / len(KINDS))
        take("quiet", lambda: time.sleep(seconds))
        progress(f"attack: {kind}", (number + 0.5) / len(KINDS))
        take(kind, lambda kind=kind: answered.update({kind: attack(settings, kind, seconds)}))  # type: ignore[misc]
        time.sleep(REST_S)
    progress("no attack", 1.0)
    take("quiet", lambda: time.sleep(seconds))
    requests = load.stop()
    figures = {name: _figures(requests, spans[name], cpu[name]) for name in spans}
    for kind in KINDS:
        figures[kind]["ratio_p99"] = round(figures[kind]["p99_ms"] / figures["quiet"]["p99_ms"], 2)
        figures[kind]["answered"] = answered[kind]
    return {"per_s": per_s, "seconds": seconds} | figures


def attack(settings: Settings, kind: str, seconds: float) -> dict[str, int]:
    """Attack in a process of its own; what was answered.

    Raises:
        ReelstreamError: if the attack itself fails.
    """
    command = [sys.executable, "-m", "bench.attacker", kind, str(settings.api.port), str(seconds)]
    environment = os.environ | {TOKEN: settings.api.token.get_secret_value()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReelstreamError(f"the attack {kind} failed: {done.stderr.strip().splitlines()[-1]}")
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def cpu_s(settings: Settings) -> float:
    """CPU seconds that the processes of the API have used."""
    process = psutil.Process(servers.pid(settings, "api"))
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return sum(cpu.user + cpu.system for cpu in times)


def _figures(made: Sequence[Request], spans: Sequence[tuple[float, float]], cpu: float) -> dict[str, Any]:
    part = [request for request in made if any(begin <= request.began < end for begin, end in spans)]
    length = sum(end - begin for begin, end in spans)
    return {
        **percentiles(part),
        "failed": sum(request.status != 200 for request in part),
        "failures": failures(part),
        "degraded": sum(bool(request.degraded) for request in part),
        "cpu": round(cpu / length, 3),
    }
