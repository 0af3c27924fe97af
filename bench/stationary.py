"""A stream in which nothing drifts: recent blocks of what users really did, each of users that no other stream has.

A block is the events that represent a user's next ones (`offline.data.arrivals`), with the user's real history before
it and the items' counters as they are at the end of the history. The blocks of a stream are interleaved at random, so
that it has the reference's distribution; and as every row is folded again, a change of the events has all the effects
that it would have on the live features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.events import Events
from features import Event, Item, Profile, Rated, dense, fold
from features.broken import Broken
from features.columns import Before, ItemTable
from offline.data.arrivals import Arrivals
from offline.data.history import State, Visitor, replay
from offline.data.readers import Ints, Ratings
from offline.data.split import Split, time_order
from producers.scenarios import ScenarioEvent

GROUPS = 20
"""Streams without a user in common; on MovieLens-1M each has some 3,000 events."""

GAP = 20.0
"""Mean events of others between two of a block."""


@dataclass(frozen=True)
class Origin:
    """Origin of an event of a stream: its block, and its place in the ratings."""

    block: int
    place: int


class Blocks:
    """Blocks of real events with the state before each.

    Args:
        ratings: the data.
        parts: their split.
        arrivals: the blocks.
        seed: of the draw of the groups.
        others: look at the history too.

    Attributes:
        places: of the first event of each block in the ratings.
        groups: blocks of each stream, as places in `blocks`; all blocks of a user's events are in one group.
    """

    def __init__(self, ratings: Ratings, parts: Split, arrivals: Arrivals, seed: int, *others: Visitor) -> None:
        self._ratings = ratings
        self.blocks: list[Ints] = arrivals.blocks
        first = np.array([int(block[0]) for block in self.blocks], dtype=np.int64)
        self.places = np.unique(first)
        self._profiles: dict[int, Profile] = {}
        userid = ratings.userid[first]
        users = np.random.default_rng(seed).permutation(np.unique(userid))
        self.groups = [np.flatnonzero(np.isin(userid, some)) for some in np.array_split(users, GROUPS)]
        state = replay(ratings, time_order(ratings, parts.offline), State(ratings.catalogue), (self, *others))
        self._counters = np.zeros((2, max(ratings.catalogue.items) + 1), dtype=np.int64)
        for itemid, counter in state.counters.items():
            self._counters[:, itemid] = counter.n, counter.likes

    def visit(self, place: int, state: State) -> None:
        """Keep the profile before a block."""
        self._profiles[place] = state.profile(int(self._ratings.userid[place])).copy()

    def stream(self, group: int) -> tuple[list[Event], list[Origin]]:
        """All events of a group, its blocks interleaved; times are those of the history."""
        rng = np.random.default_rng(group)
        blocks = self.groups[group].tolist()
        total = sum(len(self.blocks[block]) for block in blocks)
        found: list[tuple[float, int, int]] = []
        for block in blocks:
            when = rng.random() * total + np.cumsum(rng.exponential(GAP, len(self.blocks[block])))
            found += [(float(at), block, place) for at, place in zip(when, self.blocks[block].tolist(), strict=True)]
        found.sort()
        at = np.array([place for _, _, place in found], dtype=np.int64)
        columns = (self._ratings.userid, self._ratings.itemid, self._ratings.rating, self._ratings.ts)
        events = [Event(*fields) for fields in zip(*(column[at].tolist() for column in columns), strict=True)]
        return events, [Origin(block, place) for _, block, place in found]

    def folded(self, stream: Sequence[ScenarioEvent], origins: Sequence[Origin], items: Mapping[int, Item]) -> Events:
        """Fold a stream, and give each event with the ranker's input before it."""
        table = ItemTable(items)
        before = Before(table)
        profiles: dict[tuple[int, int], Profile] = {}
        rated: dict[tuple[int, int, int], Rated] = {}
        for sent, origin in zip(stream, origins, strict=True):
            event = sent.event
            key = origin.block, event.userid
            profile = profiles.get(key)
            if profile is None:
                known = self._profiles[int(self.blocks[origin.block][0])]
                profile = profiles[key] = known.copy() if known.userid == event.userid else Profile(event.userid)
            before.take(profile)
            pair = (*key, event.itemid)
            if fold(profile, rated.get(pair), event, items[event.itemid]):
                rated[pair] = (event.ts, event.rating)
        itemid = np.array([sent.event.itemid for sent in stream], dtype=np.int64)
        inputs = dense(before.columns(), table.columns(itemid, *self._counted(itemid, origins)))
        return Events(
            partition=0,
            offset=np.arange(len(stream), dtype=np.int64),
            ts=np.array([sent.event.ts for sent in stream], dtype=np.int64),
            liked=np.array([sent.event.liked for sent in stream]),
            rows=broken(inputs, stream),
            wall_ts=0.0,
        )

    def _counted(self, itemid: Ints, origins: Sequence[Origin]) -> tuple[Ints, Ints]:
        """(ratings, likes) of the items at the end of the history, without the event itself where it is of it."""
        place = np.array([origin.place for origin in origins], dtype=np.int64)
        n, likes = self._counters[:, itemid]
        own = self._ratings.itemid[place] == itemid
        return n - own, likes - (own & (self._ratings.rating[place] > 3))


def broken(rows: npt.NDArray[np.float32], stream: Sequence[ScenarioEvent]) -> npt.NDArray[np.float32]:
    """The rows with what the events' headers break."""
    for row, sent in zip(rows, stream, strict=True):
        what = Broken.of(sent.headers)
        if what is not None:
            what.apply(row)
    return rows
