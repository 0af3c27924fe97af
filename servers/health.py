"""The status of each component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from servers import crashes
from servers.component import Component, NotYet
from servers.paths import Layout
from servers.supervisor import ALIVE, TRYING, Process

MIB = 2**20


@dataclass(frozen=True)
class ComponentStatus:
    """A component as it is now.

    Attributes:
        state: the supervisor's word for its process.
        port: the first that it listens on; None where it listens on a socket in the state folder.
        memory_mb: of all its processes, in MiB.
        detail: what is wrong, what it waits for, and how often it died recently.
    """

    name: str
    state: str
    healthy: bool
    port: int | None
    pid: int | None
    memory_mb: float
    uptime_s: float
    detail: str


def ask(components: Sequence[Component], processes: Mapping[str, Process], layout: Layout) -> list[ComponentStatus]:
    """The status of each component, all asked at once."""
    died = crashes.recent(layout.log("supervisor"))

    def status(component: Component) -> ComponentStatus:
        return _status(component, processes.get(component.name), died.get(component.name), layout.log(component.name))

    with ThreadPoolExecutor(len(components)) as threads:
        return list(threads.map(status, components))


def _status(component: Component, process: Process | None, died: crashes.Crashes | None, log: Path) -> ComponentStatus:
    notes, healthy = [], False
    if process is None or process.state not in TRYING:
        notes.append(process.error if process else "")
    else:
        try:
            component.probe()
            healthy = process.state in ALIVE
            if waits_for := component.waits_for():
                notes.append(f"waiting ({waits_for})")
            if trouble := component.trouble():
                healthy = False
                notes.append(trouble)
            notes.append(component.survived())
        except NotYet as error:
            lines = crashes.last_of(log).strip().splitlines()
            notes += [str(error), f"last log line: {lines[-1].strip()}" if lines else ""]
    if died is not None:
        notes.append(died.in_words())
    detail = "; ".join(note for note in notes if note)
    number = process.pid if process else None
    return ComponentStatus(
        name=component.name,
        state=process.state.lower() if process else "stopped",
        healthy=healthy,
        port=component.ports[0].number if component.ports else None,
        pid=number,
        memory_mb=_memory_mb(number) if number else 0.0,
        uptime_s=process.uptime_s if process else 0.0,
        detail=detail,
    )


def _memory_mb(number: int) -> float:
    total = 0
    try:
        process = psutil.Process(number)
        for member in (process, *process.children(recursive=True)):
            total += member.memory_info().rss
    except psutil.Error:
        pass
    return round(total / MIB, 1)
