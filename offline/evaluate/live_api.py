"""The running system against the batch evaluation: both are asked for the same lists as of the same seconds.

The replay is sent up to a second, and held there until the stream, the feature store and the API have all of it; then a
group of users is asked for, each of whom is about to make a discovery and does nothing before it. So one wait serves a
group, and profiles, seen items, user features and item counters stand in both exactly as of that second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from features import Id, Numbering
from offline.data.history import State, replay
from offline.data.readers import Ints, Ratings
from offline.data.split import online_events, time_order
from offline.errors import RunError
from offline.evaluate.evaluation import Progress, Source
from offline.evaluate.state import Asked, Replay
from scoring import NO_ITEM
from settings import Settings
from stores import Log, Profiles, Published, StateStores, Unreachable, connect
from stores.redis.unpublished_items import UnpublishedItems

SIZE = 50
"""Items of a list."""

TIE = 1e-5
"""Scores of so little difference are the same: the batch size alone changes the last digits."""

GROUP = 50
GROUPS = 4
"""Most events in a group, and fewest groups."""

LOOK_S = 1.0
"""Seconds in which the API takes over published item features, twice the time between two of its looks."""

TRIES = 8
"""Times that a list is asked for again while it differs; the API may just be reading all item features anew."""

WAIT_S = 60.0
"""Longest wait for the stream, in seconds."""

Send = Callable[[int], None]
"""Sends the first N events of the replay that the topic does not hold yet; returns when Kafka has them."""

Recommend = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends a body to POST /ml/rec; its answer."""


@dataclass(frozen=True)
class Compared:
    """The result of a comparison.

    Attributes:
        events: lists compared.
        positions: positions compared.
        equal: those that hold the same item.
        explained_by_ties: of the others, those whose two items have scores within TIE.
        largest_difference: of the scores of an item that both lists hold.
    """

    events: int
    positions: int
    equal: int
    explained_by_ties: int
    largest_difference: float

    @property
    def same(self) -> bool:
        """True if every position is equal or explained."""
        return self.equal + self.explained_by_ties == self.positions

    def as_json(self) -> dict[str, float]:
        """The figures, with the share of equal positions."""
        return {**vars(self), "share_equal": self.equal / max(self.positions, 1)}


@dataclass(frozen=True)
class Group:
    """Lists that are asked for at one second: of users, by their numbers, with `sent` events of the replay sent."""

    second: int
    sent: int
    user: Ints


def live_run(settings: Settings) -> str:
    """The run that the system serves with.

    Raises:
        RunError: if there is none.
        Unreachable: if Redis does not answer.
    """
    live = Published(connect(settings.redis)).run()
    if live is None:
        raise RunError("nothing is published yet; run `reelstream publish`")
    return live.run


def compare(source: Source, sample: int, send: Send, recommend: Recommend, progress: Progress) -> Compared:
    """Compare the lists of the API with those of the batch evaluation.

    Args:
        source: the run that is live, and the data.
        sample: discoveries before which lists are asked for; those at hand in even parts of the replay.
        send: sends the events.
        recommend: asks the API.
        progress: told of lists compared.

    Raises:
        RunError: if the log is not empty, or another run is live.
        Unreachable: if a part of the system does not answer or does not catch up.
    """
    settings = source.settings
    if live_run(settings) != source.manifest.run:
        raise RunError(f"run {source.manifest.run} is not live; `reelstream publish {source.manifest.run}` first")
    log = Log(settings.kafka)
    try:
        if any(log.ends().values()):
            raise RunError("the log holds events already; `reelstream publish --reset` starts over")
        parts = groups(source, sample)
        batch = _batch(source, parts, progress)
        profiles = StateStores.live(settings).profiles
        asking = _Asking(recommend, source.manifest.run, source.ratings.items)
        done = 0
        for part in parts:
            send(part.sent)
            _until_served(log, profiles)
            asking.patient = True
            for user in part.user.tolist():
                asking.compare(source.ratings.users.id(user), batch[part.second, user])
                done += 1
                progress("API", done, sum(len(each.user) for each in parts))
    finally:
        log.close()
    return asking.found()


def groups(source: Source, sample: int) -> list[Group]:
    """Seconds evenly spread over the replay, and for each the users whose next event, in time, is a discovery."""
    ratings = source.ratings
    order = online_events(ratings, source.parts)
    targets = set(source.targets(None).tolist())
    n = max(GROUPS, math.ceil(sample / GROUP))
    wanted = np.diff(np.round(np.linspace(0, sample, n + 1))).astype(int)
    made: list[Group] = []
    for number, most in enumerate(wanted.tolist()):
        second = int(ratings.ts[order[int(number / n * len(order))]])
        sent = int(np.searchsorted(ratings.ts[order], second))
        users = _next_discoverers(ratings, order[sent:], targets, most)
        made.append(Group(second, sent, np.array(users, dtype=np.int64)))
    return made


def _next_discoverers(ratings: Ratings, order: Ints, targets: set[int], most: int) -> list[int]:
    """The first users whose next second of these events holds a discovery, by their numbers."""
    seconds: dict[int, int] = {}
    users: list[int] = []
    for place in order.tolist():
        user, ts = int(ratings.user[place]), int(ratings.ts[place])
        if len(users) == most:
            break
        if seconds.setdefault(user, ts) == ts and place in targets and user not in users:
            users.append(user)
    return users


def _batch(source: Source, parts: list[Group], progress: Progress) -> dict[tuple[int, int], tuple[Ints, Ints]]:
    """(columns, scores) of each list by second and user."""
    ratings = source.ratings
    state = replay(
        ratings,
        time_order(ratings, source.parts.offline),
        State(ratings.schema, ratings.catalogue),
        progress=lambda done, total: progress("history", done, total),
    )
    order = online_events(ratings, source.parts)
    replayed = Replay(ratings, order, state, source.settings.recall.half_life_days)
    seconds = np.concatenate([np.full(len(part.user), part.second) for part in parts])
    users = np.concatenate([part.user for part in parts])
    asked, _ = Asked.unique(seconds, users, np.full_like(users, -1))
    run_lists = source.lists()
    made: dict[tuple[int, int], Any] = {}
    for known in replayed.at(asked, lambda done, total: progress("lists", done, total)):
        lists = run_lists.pipeline(known)
        for row in range(len(known)):
            place = known.first + row
            made[int(asked.second[place]), int(asked.user[place])] = (lists.column[row], lists.score[row])
    return made


def _until_served(log: Log, profiles: Profiles) -> None:
    """Wait until the state, the features and the API's items hold the whole log."""
    ends, unpublished = log.ends(), UnpublishedItems(profiles)
    until = time.monotonic() + WAIT_S
    while (
        any((-1 if at is None else at) < ends[shard] - 1 for shard, at in enumerate(profiles.visible_offsets()))
        or unpublished.count()
    ):
        if time.monotonic() > until:
            raise Unreachable("the stream does not catch up; see `reelstream status`")
        time.sleep(0.01)
    time.sleep(LOOK_S)


class _Asking:
    def __init__(self, recommend: Recommend, run: str, items: Numbering) -> None:
        self._recommend, self._run, self._items = recommend, run, items
        self._all: list[Compared] = []
        self.patient = True

    def compare(self, userid: Id, expected: tuple[Ints, Any]) -> None:
        found = self._once(userid, expected)
        for _ in range(TRIES if self.patient else 0):
            if found.same:
                break
            time.sleep(LOOK_S / 2)
            found = self._once(userid, expected)
        # What waiting did not help with is a difference; the others of the group are not waited for.
        self.patient = self.patient and found.same
        self._all.append(found)

    def _once(self, userid: Id, expected: tuple[Ints, Any]) -> Compared:
        answer = self._recommend({"userid": userid, "size": SIZE})
        if answer["run"] != self._run or answer["degraded"]:
            raise Unreachable(f"the API answered with run {answer['run']}, without {answer['degraded'] or 'nothing'}")
        theirs = [(self._items.number(item["itemid"]) - 1, float(item["score"])) for item in answer["item_list"]]
        return against(theirs, expected[0], expected[1])

    def found(self) -> Compared:
        total = {name: sum(vars(each)[name] for each in self._all) for name in COUNTS}
        return Compared(**total, largest_difference=max(each.largest_difference for each in self._all))


COUNTS = ("events", "positions", "equal", "explained_by_ties")


def against(theirs: list[tuple[int, float]], column: Ints, score: Any) -> Compared:
    """Compare a list of (column, score) with the columns and scores of the batch, best first.

    >>> against([(7, 1.0), (8, 0.5), (9, 0.25)], np.array([7, 9, 8]), np.array([1.0, 0.5, 0.5])).equal
    1
    """
    ours = column[column != NO_ITEM][:SIZE].tolist()
    score_of = dict(zip(column.tolist(), score.tolist(), strict=True))
    positions = max(len(ours), len(theirs))
    equal = explained = 0
    for place, ((their, _), our) in enumerate(zip(theirs, ours, strict=False)):
        equal += their == our
        explained += their != our and bool(abs(score_of.get(their, math.inf) - score[place]) <= TIE)
    differences = [abs(score_of[item] - value) for item, value in theirs if item in score_of]
    return Compared(1, positions, equal, explained, max(differences, default=0.0))
