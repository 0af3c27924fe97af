"""The time of `reelstream rebuild` after Redis has lost its data, on the running system.

The baselines, on the same log: reading and folding it in memory, without any store; and the workers' catch-up.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import requests

import servers
from features import Event, Id, ascending
from offline.data import readers
from offline.data.split import split
from offline.state.snapshot import Beginning
from settings import Settings, bearer
from stores import Log, StateStores, Unreachable, partition_of, producer
from stores.archive.whole_log import WholeLog
from stores.kafka.topics import GROUP, committed_offsets
from verify import verify
from verify.log import Expected

RATED = 100
"""Events that come through `POST /events`."""

SENT_AT_ONCE = 20_000
"""Events that wait for Kafka's acknowledgement together."""

PATIENCE_S = 3600.0

Reset = Callable[[], None]
"""Deletes the live state and starts over, with the workers stopped."""

Command = Callable[[str], dict[str, Any]]
"""Runs a command of reelstream in a process of its own; its report."""


def rebuild_time(
    settings: Settings, events: int, reset: Reset, command: Command, progress: Callable[[str, float], None]
) -> dict[str, Any]:
    """Fill the log, have the workers fold it, delete Redis's data, and rebuild the state.

    Args:
        settings: all settings.
        events: of the log.
        reset: begins with an empty log and the published state.
        command: runs `rebuild` and `publish`.
        progress: told of each step.

    Raises:
        Unreachable: if the API or the stream does not get there.
    """
    ratings = readers.load(settings)
    servers.stop(settings, ["workers"])
    progress("starting over", 0.0)
    reset()
    rated = _rate(settings, ratings)
    sent_s = _send(settings, ratings, events - len(rated), lambda share: progress("filling the log", 0.2 * share))
    progress("the workers catch up", 0.2)
    catch_up_s = _catch_up(settings)
    progress("folding the log in memory", 0.5)
    fold_s = _fold(settings, ratings)
    servers.stop(settings, ["redis"])
    shutil.rmtree(settings.state / "data" / "redis")
    servers.start(settings, ["redis"])
    progress("rebuilding", 0.6)
    began = time.monotonic()
    rebuilt = command("rebuild")
    rebuild_s = time.monotonic() - began
    progress("verifying", 0.8)
    command("publish")
    differences = verify(settings, wait_s=PATIENCE_S, progress=lambda what, share: None).differences
    return {
        "events": events,
        "users": rebuilt["users"],
        "events_rebuilt": rebuilt["events"],
        "rated_through_api": len(rated),
        "missing_of_those": _missing(settings, rated),
        "differences": differences,
        "sent_s": round(sent_s, 1),
        "rebuild_s": round(rebuild_s, 1),
        "closed_s": rebuilt["closed_s"],
        "fold_s": round(fold_s, 1),
        "ratio_to_fold": round(rebuild_s / fold_s, 2),
        "catch_up_s": round(catch_up_s, 1),
        "ratio_to_catch_up": round(rebuild_s / catch_up_s, 2),
    }


def _rate(settings: Settings, ratings: readers.Ratings) -> list[Event]:
    """Rate through the API; the events that it acknowledged."""
    url = f"http://{settings.api.host}:{settings.api.port}"
    userids, itemids = _known(ratings)
    events, codes, now = ratings.schema.events, ratings.schema.codes.size - 1, int(time.time())
    rated = []
    with requests.Session() as session:
        session.headers.update(bearer(settings.api))
        _until(lambda: session.get(f"{url}/health/ready", timeout=10).ok, "the API does not get ready")
        for number in range(RATED):
            event = Event(userids[number % len(userids)], itemids[number % len(itemids)], 1 + number % codes, now)
            answer = session.post(f"{url}/events", json=events.fields(event), timeout=30)
            if not answer.ok:
                raise Unreachable(f"POST /events answered {answer.status_code}: {answer.text[:200]}")
            rated.append(event)
    return rated


def _send(settings: Settings, ratings: readers.Ratings, events: int, progress: Callable[[float], None]) -> float:
    """Append random events of the known users and items to the log; seconds until Kafka has them."""
    rng, ts, schema = random.Random(7), int(ratings.ts.max()), ratings.schema
    userids, itemids = _known(ratings)
    began, waiting = time.monotonic(), list[Any]()
    with closing(producer(settings.kafka)) as client:
        for number in range(events):
            event = Event(
                rng.choice(userids), rng.choice(itemids), rng.randint(1, schema.codes.size - 1), ts + number // 100
            )
            key, value = schema.events.encode(event)
            partition = partition_of(event.userid, settings.kafka.partitions)
            waiting.append(client.send(settings.kafka.topic, key=key, value=value, partition=partition))
            if len(waiting) >= SENT_AT_ONCE or number + 1 == events:
                for future in waiting:
                    future.get(timeout=60)
                waiting.clear()
                progress((number + 1) / events)
    return time.monotonic() - began


def _catch_up(settings: Settings) -> float:
    """Have the workers fold the log; seconds from the first offset until the last."""
    ends, profiles = _ends(settings), StateStores.live(settings).profiles
    servers.start(settings, ["workers"])

    def folded() -> int:
        return sum(offset + 1 for offset in profiles.visible_offsets() if offset is not None)

    _until(lambda: folded() > 0, "no worker folds")
    began, at_first = time.monotonic(), folded()
    _until(lambda: folded() >= sum(ends.values()), "the stream does not catch up")
    seconds = (time.monotonic() - began) * sum(ends.values()) / max(1, sum(ends.values()) - at_first)
    # What Kafka has been told is what a rebuild without Redis folds. A replay may append meanwhile.
    _until(lambda: reached(dict(committed_offsets(settings.kafka, GROUP)), ends), "the workers do not acknowledge")
    return seconds


def reached(committed: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Tell whether all events before `ends` are acknowledged, by partition; later ones may be too.

    >>> reached({0: 7, 1: 9}, {0: 7, 1: 8}), reached({0: 7}, {0: 7, 1: 8})
    (True, False)
    """
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())


def _fold(settings: Settings, ratings: readers.Ratings) -> float:
    """Read and fold archive and log in memory; seconds."""
    beginning = Beginning.offline(ratings, split(ratings, settings.data).offline, settings.kafka.partitions)
    with closing(WholeLog(settings)) as log:
        expected = Expected(ratings.schema, beginning, log, settings.stream.max_future_s)
        began = time.monotonic()
        expected.fold_to(log.ends())
        return time.monotonic() - began


def _missing(settings: Settings, rated: Sequence[Event]) -> int:
    """Events that the stored state does not have."""
    stored = StateStores.live(settings).profiles.read_users([event.userid for event in rated])
    return sum(
        event.userid not in stored or (event.ts, event.code) not in stored[event.userid][1].get(event.itemid, ())
        for event in rated
    )


def _known(ratings: readers.Ratings) -> tuple[list[Id], list[Id]]:
    """The users and the items of the data set."""
    return [userid for userid in ratings.users.ids if userid is not None], ascending(ratings.catalogue.items)


def _ends(settings: Settings) -> dict[int, int]:
    with closing(Log(settings.kafka)) as log:
        return dict(log.ends())


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise Unreachable(f"{otherwise}; see `reelstream status`")
        time.sleep(0.1)
