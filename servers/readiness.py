"""Waiting until parts are ready, and giving up with the last line of the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

from servers.component import NotYet, Part
from servers.errors import NotReady
from servers.paths import Layout
from servers.supervisor import ALIVE, Supervisor
from settings import Settings

POLL_S = 0.1
DEATHS = 3

Progress = Callable[[str, str], None]
"""Called with the name of a part and what has just become of it."""


@dataclass(frozen=True)
class Started:
    """A part that is up: whether it was so before, and the seconds until it answered."""

    name: str
    already_running: bool
    seconds: float


def wait_ready(
    settings: Settings, supervisor: Supervisor, parts: Mapping[str, Part], missing: frozenset[str], tell: Progress
) -> list[Started]:
    """Wait until every part has answered a real request; `missing` are those that have just been started.

    Raises:
        NotReady: a part does not answer in time, or stops as soon as it is started.
    """
    began, over = time.monotonic(), Event()
    started: dict[str, Started] = {}
    starts: dict[str, set[int]] = {name: set() for name in parts}
    with ThreadPoolExecutor(len(parts)) as threads:
        waiting = {threads.submit(_until_ready, part, over): name for name, part in parts.items()}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=POLL_S, return_when="FIRST_COMPLETED")
                for future in done:
                    name = waiting.pop(future)
                    future.result()
                    started[name] = Started(name, name not in missing, round(time.monotonic() - began, 2))
                    tell(name, f"ready after {started[name].seconds:.1f} s")
                processes = supervisor.processes()
                for name in waiting.values():
                    starts[name].add(processes[name].started)
                    # Counted while it is dead, if it can be: then the last line of its log says why.
                    deaths = len(starts[name]) - (processes[name].state in ALIVE)
                    if processes[name].state == "FATAL" or deaths >= DEATHS:
                        raise _not_ready(settings, name, "stops as soon as it is started")
                if waiting and time.monotonic() - began > settings.servers.ready_timeout_s:
                    limit = settings.servers.ready_timeout_s
                    raise _not_ready(settings, next(iter(waiting.values())), f"is not ready after {limit:.0f} s")
        finally:
            over.set()
    return [started[name] for name in parts]


def _until_ready(part: Part, over: Event) -> None:
    while not over.is_set():
        try:
            part.probe()
        except NotYet:
            over.wait(POLL_S)
        else:
            return


def _not_ready(settings: Settings, name: str, what: str) -> NotReady:
    log = Layout(settings.state).log(name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    last = f"its last line is: {lines[-1].strip()}" if lines else "it is empty"
    return NotReady(f"{name} {what}; see {log}, {last}")
