"""Waiting until components are ready, and giving up with the last line of the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

from servers.component import Component, NotYet
from servers.errors import NotReady
from servers.paths import Layout
from servers.supervisor import ALIVE, Supervisor
from settings import Settings

POLL_S = 0.1
CRASHES = 3

Progress = Callable[[str, str], None]
"""Called with the name of a component and what has just become of it."""


@dataclass(frozen=True)
class Started:
    """A component that is up: whether it was so before, and the seconds until it answered."""

    name: str
    already_running: bool
    seconds: float


def wait_ready(
    settings: Settings,
    supervisor: Supervisor,
    components: Mapping[str, Component],
    missing: frozenset[str],
    tell: Progress,
) -> list[Started]:
    """Wait until every component has answered a real request; `missing` are those that have just been started.

    Raises:
        NotReady: a component does not answer in time, or stops as soon as it is started.
    """
    began, over = time.monotonic(), Event()
    started: dict[str, Started] = {}
    starts: dict[str, set[int]] = {name: set() for name in components}
    with ThreadPoolExecutor(len(components)) as threads:
        waiting = {threads.submit(_until_ready, component, over): name for name, component in components.items()}
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
                    crashes = len(starts[name]) - (processes[name].state in ALIVE)
                    if processes[name].state == "FATAL" or crashes >= CRASHES:
                        raise _not_ready(settings, name, "stops as soon as it is started")
                if waiting and time.monotonic() - began > settings.servers.ready_timeout_s:
                    limit = settings.servers.ready_timeout_s
                    raise _not_ready(settings, next(iter(waiting.values())), f"is not ready after {limit:.0f} s")
        finally:
            over.set()
    return [started[name] for name in components]


def _until_ready(component: Component, over: Event) -> None:
    while not over.is_set():
        try:
            component.probe()
        except NotYet:
            over.wait(POLL_S)
        else:
            return


def _not_ready(settings: Settings, name: str, what: str) -> NotReady:
    log = Layout(settings.state).log(name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    last = f"last line: {lines[-1].strip()}" if lines else "which is empty"
    return NotReady(f"{name} {what}; see {log}, {last}")
