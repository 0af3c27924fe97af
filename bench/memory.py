"""Redis's memory over a simulated year, with the eviction of inactive users and, as the baseline, without.

Users arrive throughout the year and stay for a while, so that most are inactive at its end. Their events are folded as
the stream folds them, into two generations of the state beside the live one, which are deleted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.beside import Beside, catalogue, used_bytes
from features import Event
from offline.state.lock import lock
from offline.state.snapshot import delete_generation
from settings import Settings
from stores import Generations, StateStores
from stream.fold.evictor import DAY_S, evict_inactive

WEEKS = 52
BEGIN = 1_700_000_000
STAY_DAYS = 30.0
"""Mean of how long a user stays."""

EVENTS_PER_DAY = 2.0
"""Of a user who stays."""

ITEMS = 3000
READ = 500
"""Users compared at once."""

Progress = Callable[[str, float], None]


def memory(settings: Settings, users: int, inactive_days: float, progress: Progress) -> dict[str, Any]:
    """Fold a year of events twice, and compare memory and state.

    Args:
        settings: all settings.
        users: users who arrive in the year.
        inactive_days: days after which a user is evicted.
        progress: told of each step.

    Raises:
        LockTaken: if a publish or rebuild is at work.
        Unreachable: if Redis does not answer.
    """
    weeks = year(users, settings.train.seed)
    evicting = settings.model_copy(
        update={"stream": settings.stream.model_copy(update={"inactive_days": inactive_days})}
    )
    client = StateStores.live(settings).profiles.client
    generations, names = Generations(client), list[str]()
    with lock(settings, "bench memory", progress) as held:
        try:
            figures: dict[str, Any] = {"users": users, "events": sum(map(len, weeks)), "inactive_days": inactive_days}
            for place, (variant, its) in enumerate((("without", settings), ("with", evicting))):
                names.append(generations.begin())

                def tell(share: float, place: int = place, variant: str = variant) -> None:
                    held.check()
                    progress(f"folding a year {variant} evictions", (place + share) / 2)

                figures[variant] = _fold_year(its, StateStores.of(settings, names[-1], client), weeks, tell)
            one, other = (StateStores.of(settings, name, client) for name in names)
            userids = list(range(1, users + 1))
            figures["evicted"] = len(other.profiles.evicted_among(userids))
            figures["differing_users"] = _differing(one, other, userids)
        finally:
            for name in names:
                delete_generation(settings, name)
    last = {variant: figures[variant]["mib"][-1] for variant in ("with", "without")}
    return figures | {"ratio": round(last["with"] / last["without"], 3)}


def year(users: int, seed: int) -> list[list[Event]]:
    """The events of each week, in the order of time."""
    rng = np.random.default_rng(seed)
    arrives = rng.uniform(0, WEEKS * 7, users)
    stays = rng.exponential(STAY_DAYS, users)
    counts = 1 + rng.poisson(stays * EVENTS_PER_DAY)
    userids = np.repeat(np.arange(1, users + 1), counts)
    days = np.repeat(arrives, counts) + rng.uniform(0, 1, len(userids)) * np.repeat(stays, counts)
    order = np.argsort(days)
    itemids, ratings = rng.integers(1, ITEMS + 1, len(userids)), rng.integers(1, 6, len(userids))
    weeks: list[list[Event]] = [[] for _ in range(WEEKS)]
    for place in order[days[order] < WEEKS * 7].tolist():
        ts = BEGIN + int(days[place] * DAY_S)
        event = Event(int(userids[place]), int(itemids[place]), int(ratings[place]), ts)
        weeks[int(days[place] // 7)].append(event)
    return weeks


def _fold_year(
    settings: Settings, state: StateStores, weeks: Sequence[Sequence[Event]], progress: Callable[[float], None]
) -> dict[str, Any]:
    """Fold the weeks into an empty generation; MiB that it takes in Redis after each, and seconds of folding."""
    profiles, client = state.profiles, state.profiles.client
    before = used_bytes(client)
    for shard in range(profiles.partitions):
        profiles.write_shard(shard, {}, {}, {}, [])
    beside, mib, seconds = Beside(settings, state, catalogue(ITEMS)), list[float](), 0.0
    for number, events in enumerate(weeks):
        seconds += beside.fold(events)
        for shard in range(profiles.partitions):
            evict_inactive(settings, state, shard)
        mib.append(round((used_bytes(client) - before) / 2**20, 2))
        progress((number + 1) / len(weeks))
    return {"mib": mib, "fold_s": round(seconds, 1)}


def _differing(one: StateStores, other: StateStores, userids: Sequence[int]) -> int:
    """Users whose profile or seen filter differs between two generations."""
    differing = 0
    for start in range(0, len(userids), READ):
        some = userids[start : start + READ]
        here, there = one.profiles.read_users(some), other.profiles.read_users(some)
        differing += sum(here.get(userid) != there.get(userid) for userid in some)
    return differing
