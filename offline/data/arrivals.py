"""Offline events that represent those that will arrive, for drift to compare live ones with.

Live events come from users with their whole history behind them and meet items with all their ratings. Training events
come from the middle of users' lives and meet items that were new, so that compared with them every live event has
drifted. So each user's next events are represented by recent events of a user who stood then where this one stands
now: one with a history that is longer by at least as many events, or, where the history is long, by its own last
events. Items are counted as they are at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drift.thresholds import BLOCK
from features import dense
from features.columns import ItemTable, user_columns
from features.seen import Rated, known
from offline.data.history import Floats, State, rows_at_once
from offline.data.point_in_time import PriorStates
from offline.data.readers import Ints, Ratings
from offline.data.split import Split
from scoring import Counters, UserState

LONG = 100
"""Events of a history that a block makes longer by a tenth at most."""

UNSEEN = 5_000
"""Events that the served models have not learned from, liked or not, whose scores live ones are compared with."""

UNSEEN_SHARE = 0.05
"""The most of them, as a share of all offline events."""


@dataclass(frozen=True)
class Arrivals:
    """Events by block: the next ones of one user each.

    Attributes:
        place: in the ratings, INT64 [N]; by block, within a block in time order. A place may occur more than once.
        block: ascending from 0, INT64 [N].
    """

    place: Ints
    block: Ints

    @classmethod
    def of(cls, blocks: list[Ints]) -> Arrivals:
        """Of blocks of places."""
        if not blocks:
            return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
        return cls(np.concatenate(blocks), np.repeat(np.arange(len(blocks)), [len(block) for block in blocks]))

    @property
    def blocks(self) -> list[Ints]:
        """The places of each block."""
        if not len(self.place):
            return []
        return np.split(self.place, np.flatnonzero(np.diff(self.block)) + 1)


def offline_by_user(ratings: Ratings, parts: Split) -> list[Ints]:
    """Each user's offline events in time order, as places."""
    # The parts follow each other in time, and each is in time order within a user.
    places = parts.offline[np.argsort(ratings.user[parts.offline], kind="stable")]
    return np.split(places, np.flatnonzero(np.diff(ratings.user[places])) + 1)


def expected(ratings: Ratings, parts: Split, seed: int) -> Arrivals:
    """BLOCK events for each user, of one whose history was as long before them as this one's is now.

    Users with LONG histories are represented by their own last events. For the others peers are taken from the shortest
    histories on, each for one user only, so that no event counts twice.
    """
    histories = offline_by_user(ratings, parts)
    length = np.array([len(history) for history in histories])
    # Users whose histories are as long are in random order.
    order = np.lexsort((np.random.default_rng(seed).random(len(length)), length))
    ascending = length[order]
    peers: list[int | None] = []
    peer = 0
    for n in ascending.tolist():
        peer = max(peer, int(np.searchsorted(ascending, n + BLOCK)))
        peers.append(peer if n < LONG and peer < len(order) else None)
        peer += n < LONG
    blocks = []
    for number, (at, n) in enumerate(zip(peers, ascending.tolist(), strict=True)):
        history = histories[order[number if at is None else at]]
        # A peer that is represented by its own last events too gives those before them.
        last = len(history) - (2 if at is not None and peers[at] is None else 1) * BLOCK
        begin = max(0, last if at is None else min(n, last))
        blocks.append(history[begin : begin + BLOCK])
    return Arrivals.of(blocks)


def unseen(ratings: Ratings, arrivals: Arrivals, parts: Split, seed: int) -> Arrivals:
    """Some of the events that no model has learned from yet, to be kept from the last training too.

    Of a short history only the last events are such, so blocks are drawn in inverse proportion to how many are.
    """
    tested = np.zeros(int(parts.offline.max()) + 1, dtype=bool)
    tested[parts.test] = True
    by_user = {int(ratings.user[block[0]]): block[tested[block]] for block in arrivals.blocks if tested[block].any()}
    blocks = list(by_user.values())
    if not blocks:
        return Arrivals.of([])
    weight = np.array([1.0 / len(block) for block in blocks])
    order = np.random.default_rng(seed).choice(len(blocks), len(blocks), replace=False, p=weight / weight.sum())
    most = min(UNSEEN, max(BLOCK, round(UNSEEN_SHARE * len(parts.offline))))
    chosen, total = [], 0
    for number in order.tolist():
        if total >= most:
            break
        chosen.append(blocks[number])
        total += len(blocks[number])
    return Arrivals.of(chosen)


def without(ratings: Ratings, parts: Split, kept: Arrivals) -> Ints:
    """The offline events without those kept back, nor what their users did after them; in the order of the split."""
    first = {int(ratings.user[block[0]]): block for block in kept.blocks}
    dropped = []
    for history in offline_by_user(ratings, parts):
        block = first.get(int(ratings.user[history[0]]))
        if block is not None:
            dropped.append(history[int(np.flatnonzero(history == block[0])[0]) :])
    return parts.offline[~np.isin(parts.offline, np.concatenate(dropped))] if dropped else parts.offline


class Before:
    """Takes the users' state before each of the arrivals, in a replay of the offline events.

    Args:
        ratings: the ratings.
        arrivals: the events.
        scored: those of them that the ranker is to score.

    Attributes:
        places: of the events, ascending.
    """

    def __init__(self, ratings: Ratings, arrivals: Arrivals, scored: Arrivals) -> None:
        self._ratings, self._arrivals = ratings, arrivals
        self.places = np.unique(np.concatenate([arrivals.place, scored.place]))
        self._scored = set(scored.place.tolist())
        # Of the counts of each user, where they are not 0: terms may have a thousand values.
        self._counts: dict[int, tuple[Ints, Ints]] = {}
        self._users: dict[int, UserState] = {}
        self._known: dict[int, Rated | None] = {}
        self._state: State | None = None

    def visit(self, place: int, state: State) -> None:
        """Keep the state of the event's user."""
        event = self._ratings.event(place)
        self._state = state
        counts = np.array(state.user_values(event.userid), dtype=np.int64)
        given = np.flatnonzero(counts)
        self._counts[place] = given, counts[given]
        seen = state.seen.get(event.userid, {}).get(event.itemid)
        self._known[place] = known(seen, event.code, state.schema.codes)
        if place in self._scored:
            self._users[place] = state.user_state(event.userid)

    def rows(self, table: ItemTable) -> Floats:
        """The ranker's dense input of each arrival, its item as it is at the end without this event."""
        place, schema = self._arrivals.place, self._ratings.schema
        (n, likes), size = self._counters(), rows_at_once(schema.user_width)
        out = np.empty((len(place), len(schema.dense_columns)), dtype=np.float32)
        for start in range(0, len(place), size):
            some = place[start : start + size]
            column, (own_n, own_likes) = self._ratings.item[some] - 1, self._own(some)
            items = table.at(column, n[column] - own_n, likes[column] - own_likes)
            out[start : start + size] = dense(schema, user_columns(schema, self._rows(some)), items)
        return out

    def _rows(self, place: Ints) -> Ints:
        """The counts of the events' users, INT64 [N, `schema.user_width`]."""
        rows = np.zeros((len(place), self._ratings.schema.user_width), dtype=np.int64)
        for row, each in zip(rows, place.tolist(), strict=True):
            given, counts = self._counts[each]
            row[given] = counts
        return rows

    def states(self, place: Ints) -> PriorStates:
        """The state before some of the scored events, items as they are at the end without the event itself."""
        n, likes = (np.tile(count, (len(place), 1)) for count in self._counters())
        row, column = np.arange(len(place)), self._ratings.item[place] - 1
        own_n, own_likes = self._own(place)
        n[row, column] -= own_n
        likes[row, column] -= own_likes
        return PriorStates(place, [self._users[each] for each in place.tolist()], Counters(n, likes))

    def _counters(self) -> tuple[Ints, Ints]:
        """(events, positive ones) of each item, by ascending itemid."""
        items = self._ratings.items
        out = np.zeros((2, len(items)), dtype=np.int64)
        for itemid, counter in self._state.counters.items() if self._state else ():
            out[:, items.number(itemid) - 1] = counter.n, counter.likes
        return out[0], out[1]

    def _own(self, place: Ints) -> tuple[Ints, Ints]:
        """(events, positive ones) by which its item's counters are higher with an event than without it, [N] each.

        Of events of a user, an item and a type only the latest counts; without it, the one before it does.
        """
        out = np.zeros((2, len(place)), dtype=np.int64)
        codes = self._ratings.schema.codes
        for number, each in enumerate(place.tolist()):
            event, before = self._ratings.event(each), self._known[each]
            seen = self._state.seen[event.userid].get(event.itemid) if self._state else None
            if known(seen, event.code, codes) == (event.ts, event.code):
                was_positive = before is not None and codes.positive[before[1]]
                out[:, number] = before is None, int(codes.positive[event.code]) - was_positive
        return out[0], out[1]
