"""How each part is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from servers.part import NotYet, Part
from servers.supervision import ALIVE, TRYING, Process

MIB = 2**20


@dataclass(frozen=True)
class PartStatus:
    """A part as it is now. `state` is the supervisor's word for its process; memory is that of all its processes."""

    name: str
    state: str
    healthy: bool
    port: int
    pid: int | None
    memory_mb: float
    uptime_s: float
    detail: str


def ask(parts: Sequence[Part], processes: Mapping[str, Process]) -> list[PartStatus]:
    """The status of each part, all asked at once."""
    with ThreadPoolExecutor(len(parts)) as threads:
        return list(threads.map(lambda part: _status(part, processes.get(part.name)), parts))


def _status(part: Part, process: Process | None) -> PartStatus:
    detail, healthy = "", False
    if process is None or process.state not in TRYING:
        detail = process.error if process else ""
    else:
        try:
            part.probe()
            healthy = process.state in ALIVE
        except NotYet as error:
            detail = str(error)
    number = process.pid if process else None
    return PartStatus(
        name=part.name,
        state=process.state.lower() if process else "stopped",
        healthy=healthy,
        port=part.ports[0].number,
        pid=number,
        memory_mb=_memory_mb(number) if number else 0.0,
        uptime_s=process.uptime_s if process else 0.0,
        detail=detail,
    )


def _memory_mb(number: int) -> float:
    total = 0
    try:
        process = psutil.Process(number)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return round(total / MIB, 1)
