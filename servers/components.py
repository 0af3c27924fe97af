"""The components, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from servers import elasticsearch, kafka, processes, redis, triton
from servers.component import Component
from servers.errors import ServersError
from settings import Settings

WORKERS = "workers"
STORES = ("kafka", "elasticsearch", "redis", "triton")
COMPONENTS: Mapping[str, Callable[[Settings], Component]] = {
    "kafka": kafka.component,
    "elasticsearch": elasticsearch.component,
    "redis": redis.component,
    "triton": triton.component,
    "feast": processes.feast,
    processes.ARCHIVER: processes.archiver,
    "api": processes.api,
}


def chosen(settings: Settings, workers: int | None, only: Sequence[str] | None) -> list[str]:
    """The names of the components asked for, in the order in which they are told."""
    count = workers or settings.stream.workers
    numbered = [f"{processes.WORKER}{index}" for index in range(count)]
    if only is None:
        return sorted([*_by_default(settings), *numbered], key=order)
    wanted = set()
    for name in only:
        wanted.update(numbered if name == WORKERS else [name])
    for name in wanted:
        if name not in COMPONENTS and not re.fullmatch(rf"{processes.WORKER}\d+", name):
            raise ServersError(
                f"there is no component {name}; the components are {', '.join(COMPONENTS)} and {WORKERS}"
            )
    return sorted(wanted, key=order)


def _by_default(settings: Settings) -> list[str]:
    """The names of the components that are not workers and run unless others are asked for."""
    return [name for name in COMPONENTS if name != processes.ARCHIVER or settings.archive.enabled]


def order(name: str) -> tuple[int, int]:
    """A key to sort names by: stores, Feast, workers by number, archiver, API."""
    if name.startswith(processes.WORKER):
        return len(STORES) + 1, int(name.removeprefix(processes.WORKER))
    index = list(COMPONENTS).index(name)
    return (index, 0) if index <= len(STORES) else (index + 1, 0)


def named(settings: Settings, name: str) -> Component:
    """A component by name."""
    if name.startswith(processes.WORKER):
        return processes.worker(settings, int(name.removeprefix(processes.WORKER)))
    return COMPONENTS[name](settings)
