"""Which parts there are, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from servers import elasticsearch, kafka, own, redis, triton
from servers.errors import ServersError
from servers.part import Part
from settings import Settings

WORKERS = "workers"
STORES = ("kafka", "elasticsearch", "redis", "triton")
PARTS: Mapping[str, Callable[[Settings], Part]] = {
    "kafka": kafka.part,
    "elasticsearch": elasticsearch.part,
    "redis": redis.part,
    "triton": triton.part,
    "feast": own.feast,
    "api": own.api,
}


def chosen(settings: Settings, workers: int | None, only: Sequence[str] | None) -> list[str]:
    """The names of the parts asked for, in the order in which they are told."""
    count = workers or settings.stream.workers
    numbered = [f"{own.WORKER}{index}" for index in range(count)]
    if only is None:
        return sorted([*PARTS, *numbered], key=order)
    wanted = set()
    for name in only:
        wanted.update(numbered if name == WORKERS else [name])
    for name in wanted:
        if name not in PARTS and not re.fullmatch(rf"{own.WORKER}\d+", name):
            raise ServersError(f"there is no part {name}; the parts are {', '.join(PARTS)} and {WORKERS}")
    return sorted(wanted, key=order)


def order(name: str) -> tuple[int, int]:
    """A key to sort names by: stores, Feast, workers by number, API."""
    if name.startswith(own.WORKER):
        return len(STORES) + 1, int(name.removeprefix(own.WORKER))
    index = list(PARTS).index(name)
    return (index, 0) if index <= len(STORES) else (index + 1, 0)


def named(settings: Settings, name: str) -> Part:
    """A part by name."""
    if name.startswith(own.WORKER):
        return own.worker(settings, int(name.removeprefix(own.WORKER)))
    return PARTS[name](settings)
