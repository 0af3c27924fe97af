"""Growth, one factor at a time: of the catalogue, of the users, and of a user's history.

Each catalogue has a system of its own on generated ratings, in a folder that is kept, so that a benchmark which is
broken off does not train again. Users and histories are measured in the first of them (`scale_users`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import servers
from bench.growth import laws, size_at
from bench.scale_items import Commands, Size, measured, of_size
from bench.scale_users import by_history, by_users
from settings import Settings

OF_ITEMS = ("train_s", "train_memory_mb", "publish_s", "p50_ms", "p99_ms", "event_cpu_us", "index_bytes_per_item")
OF_USERS = ("fold_us", "fold_cpu_us", "read_ms", "redis_bytes_per_user")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """The sizes to measure.

    Attributes:
        items: sizes of catalogues.
        users, events: of the data set that each is trained on.
        state_users: numbers of users in the state.
        history: events of each of these.
        histories: events of a user.
        seconds: of a closed loop of lists.
    """

    items: Sequence[int]
    users: int
    events: int
    state_users: Sequence[int]
    history: int
    histories: Sequence[int]
    seconds: float


def scale(settings: Settings, folder: Path, plan: Plan, commands: Commands, progress: Progress) -> dict[str, Any]:
    """Measure all of a plan.

    Args:
        settings: all settings; nothing of the system that they are of may run, as its ports are used.
        folder: for the systems.
        plan: the sizes.
        commands: to call.
        progress: told of each step.

    Returns:
        `items`, `users` and `history`: the figures by size, and the law by which each grows (`growth`); `outgrown`:
        the users of whom the state fills this machine's memory, and the items whose training does.
    """
    figures: dict[str, Any] = {"items": {}, "users": {}, "history": {}}
    for place, items in enumerate(plan.items):
        size = Size(items, plan.users, plan.events)

        def tell(what: str, share: float, items: int = items) -> None:
            progress(f"{items:,} items: {what}", share)

        with system(of_size(settings, folder / f"{items}-{plan.users}-{plan.events}", size)) as its:
            figures["items"][items] = measured(its, commands, plan.seconds, tell)
            if place == 0:
                figures["users"] = by_users(its, plan.state_users, plan.history, progress)
                figures["history"] = by_history(its, plan.histories, max(plan.histories, default=0) // 10, progress)
    growth = {
        "items": laws(figures["items"], OF_ITEMS),
        "users": laws(figures["users"], OF_USERS),
        "history": laws(figures["history"], OF_USERS),
    }
    return figures | {"growth": growth, "outgrown": outgrown(figures, growth)}


@contextmanager
def system(settings: Settings) -> Iterator[Settings]:
    """A system that runs meanwhile."""
    try:
        servers.up(settings)
        yield settings
    finally:
        servers.down(settings)


def outgrown(figures: dict[str, Any], growth: dict[str, Any]) -> dict[str, int | None]:
    """The sizes at which this machine's memory is full: of the users in Redis, and of the items in a training."""
    memory = psutil.virtual_memory().total
    of_user = max((of["redis_bytes_per_user"] for of in figures["users"].values()), default=0)
    law = growth["items"].get("train_memory_mb")
    items = size_at(memory / 2**20, law) if law else None
    return {"users": round(memory / of_user) if of_user else None, "items": round(items) if items else None}
