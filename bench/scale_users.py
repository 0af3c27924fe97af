"""The cost of a fold, of reading a user, and of Redis's memory: by the number of users, and by their histories.

Users are written into a generation of the state beside the live one, shard by shard, as copies of a few that events
were folded into; then events of them are folded as a worker does, without drift monitoring.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import datasets
from bench.beside import BATCH, Beside, catalogue, generation, used_bytes
from features import Event, Id, Item, ItemCounter, Profile, Schema, Seen, fold
from features.counters import WEEK
from features.rows import user_row
from settings import Settings
from stores import partition_of

ITEMS = 20_000
BEGIN = 1_700_000_000
PATTERNS, FEW = 200, 10
"""Users that events are folded into, few where these are many; the others are copies of them."""

WARM_UP, BATCHES = 4, 40
"""Batches that are folded before some are measured."""

READ = 200
"""Users read one by one."""

WRITTEN = 5000
"""Users written at once."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Pattern:
    """A user after some events.

    Attributes:
        profile: its profile.
        seen: its seen filter.
    """

    profile: Profile
    seen: Mapping[Id, Seen]


def pattern(items: Mapping[Id, Item], events: int, rng: np.random.Generator) -> Pattern:
    """A user after so many events of distinct items, one a minute."""
    schema = datasets.first_schema()
    profile, seen = schema.profile(0), dict[Id, Seen]()
    chosen = rng.choice(len(items), events, replace=False) + 1
    for place, (itemid, rating) in enumerate(zip(chosen.tolist(), rng.integers(1, 6, events).tolist(), strict=True)):
        event = Event(0, itemid, rating, BEGIN + 60 * place)
        fold(schema.codes, profile, None, event, items)
        seen[itemid] = ((event.ts, rating),)
    return Pattern(profile, seen)


def by_users(settings: Settings, counts: Sequence[int], history: int, progress: Progress) -> dict[int, dict[str, Any]]:
    """Figures by the number of users, each with `history` events; see `_measured`."""
    return {
        users: _measured(settings, users, history, PATTERNS, partial(progress, f"{users:,} users")) for users in counts
    }


def by_history(settings: Settings, lengths: Sequence[int], users: int, progress: Progress) -> dict[int, dict[str, Any]]:
    """Figures by the number of events of each of `users` users; see `_measured`."""
    return {
        events: _measured(settings, users, events, FEW, partial(progress, f"{users:,} users with {events:,} events"))
        for events in lengths
    }


def _measured(
    settings: Settings, users: int, history: int, patterns: int, progress: Callable[[float], None]
) -> dict[str, Any]:
    """Microseconds for an event folded, of all and of this process's processor time; milliseconds in which a user is
    read; bytes in Redis for a user, with the feature row."""
    rng, items = np.random.default_rng(settings.train.seed), catalogue(ITEMS)
    made = [pattern(items, history, rng) for _ in range(patterns)]
    with generation(settings) as state:
        client = state.profiles.client
        before = used_bytes(client)
        beside = Beside(settings, state, items)
        _write(beside, users, made, items, progress)
        bytes_per_user = (used_bytes(client) - before) / users
        folds, works = [], []
        for number in range(WARM_UP + BATCHES):
            events = [
                Event(int(user), int(item), int(rating), BEGIN + 10**7 + number)
                for user, item, rating in zip(
                    rng.integers(1, users + 1, BATCH),
                    rng.integers(1, ITEMS + 1, BATCH),
                    rng.integers(1, 6, BATCH),
                    strict=True,
                )
            ]
            worked = time.process_time()
            folds.append(1e6 * beside.fold(events) / BATCH)
            works.append(1e6 * (time.process_time() - worked) / BATCH)
        reads = []
        for userid in rng.integers(1, users + 1, READ).tolist():
            began = time.perf_counter()
            state.profiles.profile(userid)
            beside.rows.users([userid])
            reads.append(1000 * (time.perf_counter() - began))
    return {
        "fold_us": round(median(folds[WARM_UP:]), 1),
        "fold_cpu_us": round(median(works[WARM_UP:]), 1),
        "read_ms": round(median(reads), 3),
        "redis_bytes_per_user": round(bytes_per_user),
    }


def _write(
    beside: Beside, users: int, patterns: Sequence[Pattern], items: Mapping[Id, Item], progress: Callable[[float], None]
) -> None:
    """Write users 1 to `users`, and the counters of their items, shard by shard."""
    profiles, schema = beside.state.profiles, beside.schema
    of_shard: dict[int, list[int]] = {shard: [] for shard in range(profiles.partitions)}
    for userid in range(1, users + 1):
        of_shard[partition_of(userid, profiles.partitions)].append(userid)
    written = 0
    for shard, userids in of_shard.items():
        copies = Counter(userid % len(patterns) for userid in userids)
        profiles.write_shard(shard, {}, {}, _counters(schema, patterns, copies), [])
        for start in range(0, len(userids), WRITTEN):
            some = {userid: patterns[userid % len(patterns)] for userid in userids[start : start + WRITTEN]}
            held: dict[Id, Profile] = {userid: replace(each.profile, userid=userid) for userid, each in some.items()}
            profiles.write_shard(shard, held, {userid: each.seen for userid, each in some.items()}, {}, [])
            beside.rows.write_users(
                (userid, user_row(schema, profile, schema.user(userid), items)) for userid, profile in held.items()
            )
            written += len(some)
            progress(written / users)


def _counters(schema: Schema, patterns: Sequence[Pattern], copies: Mapping[int, int]) -> dict[Id, ItemCounter]:
    """The counters of the items of some users: how many there are of each pattern."""
    counters: dict[Id, ItemCounter] = {}
    for number, users in copies.items():
        for itemid, ((ts, code),) in patterns[number].seen.items():
            counter = counters.setdefault(itemid, ItemCounter())
            liked = users * int(schema.codes.positive_array[code])
            counter.n += users
            counter.likes += liked
            counter.last_ts = max(counter.last_ts, ts)
            week = counter.weeks.setdefault(ts // WEEK, [0, 0])
            week[0] += users
            week[1] += liked
    return counters
