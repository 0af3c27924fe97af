"""Processor time and memory of the components that run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psutil

import servers
from settings import Settings


class Components:
    """The running components, each with the processes that it has started by now.

    One that is started again later is still looked at as the processes that it was.

    Args:
        settings: all settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._processes = {name: _family(pid) for name, pid in servers.pids(settings).items()}

    def cpu_s(self) -> dict[str, float]:
        """Seconds of processor time since each was started."""
        return self._sums(_cpu_s)

    def memory_mb(self) -> dict[str, float]:
        """MiB of memory that each has for itself."""
        return self._sums(lambda process: process.memory_full_info().uss / 2**20)

    def _sums(self, of: Callable[[psutil.Process], float]) -> dict[str, float]:
        return {name: sum(_or_nothing(of, process) for process in family) for name, family in self._processes.items()}


def _family(pid: int) -> list[psutil.Process]:
    """A process and those that it has started; none where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _or_nothing(of: Callable[[psutil.Process], float], process: psutil.Process) -> float:
    try:
        return of(process)
    except psutil.NoSuchProcess:
        return 0.0


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def spent(before: Mapping[str, float], after: Mapping[str, float], each: float) -> dict[str, float]:
    """Processor time between two looks for each of some pieces of work, by component, the largest first.

    >>> spent({"api": 1.0, "redis": 2.0}, {"api": 2.0, "redis": 2.25}, each=1000 / 100)
    {'api': 10.0, 'redis': 2.5}

    Args:
        before, after: seconds by component.
        each: what a second is divided into: 1000 / n for milliseconds for each of n.
    """
    taken = {name: round(each * (seconds - before.get(name, 0.0)), 2) for name, seconds in after.items()}
    return {name: time for name, time in sorted(taken.items(), key=lambda entry: -entry[1]) if time > 0}
