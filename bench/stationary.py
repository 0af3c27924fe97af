"""A stream in which nothing drifts: what users really did, in short blocks from all of the history, interleaved.

A block is at most BLOCK successive events of a user, with the user's real history before it and the items' counters as
they stood then. Blocks are drawn at random from the events that the reference was made of, so that the stream has the
reference's distribution; and as every row is folded anew, a change of the events has all the effects that it would
have on the live features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from drift.events import Events
from drift.noise import BLOCK, blocks_of
from features import Event, Item, Profile, Rated, dense, fold
from features.broken import Broken
from features.columns import Before, ItemTable
from offline.data import Ints, Ratings
from offline.history import State, replay
from offline.split import Split, time_order
from producers.scenarios import Told

BLOCKS = 6_000
"""Blocks from which streams are drawn; one of 10,000 events takes 2,000."""

GAP = 20.0
"""Mean events of others between two of a block."""

EVERY = 20_000
"""Events between two looks at the counters of all items."""


@dataclass(frozen=True)
class Origin:
    """Where an event of a stream comes from: its block, and its place in the history."""

    block: int
    age: int


class Blocks:
    """Blocks of real events with the state before each.

    Args:
        ratings: the data.
        parts: their split; blocks are taken from `fit`.
        count: blocks, drawn at random.
        seed: of the draw.

    Attributes:
        places: of the events of each block in the ratings.
    """

    def __init__(self, ratings: Ratings, parts: Split, count: int, seed: int) -> None:
        self._ratings = ratings
        begins = blocks_of(ratings.userid[parts.fit])
        ends = np.append(begins[1:], len(parts.fit))
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(begins), min(count, len(begins)), replace=False)
        self.blocks: list[Ints] = [parts.fit[begins[each] : ends[each]] for each in chosen.tolist()]
        self._first = {int(block[0]): number for number, block in enumerate(self.blocks)}
        self._profiles: list[Profile] = [Profile(0)] * len(self.blocks)
        self._counters: list[Ints] = []
        self._size = max(ratings.catalogue.items) + 1
        order = time_order(ratings, parts.offline)
        self._when = np.empty(len(ratings), dtype=np.int64)
        self._when[order] = np.arange(len(order))
        self._looks = set(order[::EVERY].tolist())
        self.places = np.array(sorted(set(self._first) | self._looks), dtype=np.int64)
        replay(ratings, order, State(ratings.catalogue), (self,))

    def visit(self, place: int, state: State) -> None:
        """Keep the profile before a block, and now and then the counters of all items."""
        number = self._first.get(place)
        if number is not None:
            self._profiles[number] = copied(state.profile(int(self._ratings.userid[place])))
        if place in self._looks:
            counters = np.zeros((2, self._size), dtype=np.int64)
            for itemid, counter in state.counters.items():
                counters[:, itemid] = counter.n, counter.likes
            self._counters.append(counters)

    def stream(self, count: int, seed: int) -> tuple[list[Event], list[Origin]]:
        """`count` events of blocks drawn at random, interleaved; times are those of the history."""
        rng = np.random.default_rng(seed)
        blocks = rng.permutation(len(self.blocks))[: -(-count // BLOCK) * 2].tolist()
        total = sum(len(self.blocks[block]) for block in blocks)
        found: list[tuple[float, int, int]] = []
        for block in blocks:
            starts = rng.random() * total
            when = starts + np.cumsum(rng.exponential(GAP, len(self.blocks[block])))
            found += [(float(at), block, place) for at, place in zip(when, self.blocks[block].tolist(), strict=True)]
        found.sort()
        # Without the beginning and the end, where blocks begin without others going on and the other way round.
        middle = found[(len(found) - count) // 2 :][:count]
        at = np.array([place for _, _, place in middle], dtype=np.int64)
        columns = (self._ratings.userid, self._ratings.itemid, self._ratings.rating, self._ratings.ts)
        events = [Event(*fields) for fields in zip(*(column[at].tolist() for column in columns), strict=True)]
        return events, [Origin(block, int(self._when[place])) for _, block, place in middle]

    def folded(self, told: Sequence[Told], origins: Sequence[Origin], items: Mapping[int, Item]) -> Events:
        """Fold a stream, and give each event with the ranker's input before it."""
        table = ItemTable(items)
        before = Before(table)
        profiles: dict[tuple[int, int], Profile] = {}
        rated: dict[tuple[int, int, int], Rated] = {}
        counters = np.empty((2, len(told)), dtype=np.int64)
        for number, (each, origin) in enumerate(zip(told, origins, strict=True)):
            event = each.event
            key = origin.block, event.userid
            profile = profiles.get(key)
            if profile is None:
                known = self._profiles[origin.block]
                profile = profiles[key] = copied(known) if known.userid == event.userid else Profile(event.userid)
            before.take(profile)
            counters[:, number] = self._counters[origin.age // EVERY][:, event.itemid]
            pair = (*key, event.itemid)
            if fold(profile, rated.get(pair), event, items[event.itemid]):
                rated[pair] = (event.ts, event.rating)
        itemid = np.array([each.event.itemid for each in told], dtype=np.int64)
        inputs = dense(before.columns(), table.columns(itemid, *counters))
        return Events(
            partition=0,
            offset=np.arange(len(told), dtype=np.int64),
            ts=np.array([each.event.ts for each in told], dtype=np.int64),
            liked=np.array([each.event.liked for each in told]),
            rows=broken(inputs, told),
            wall_ts=0.0,
        )


def copied(profile: Profile) -> Profile:
    """A copy that can be folded into."""
    return replace(
        profile,
        genre_n=list(profile.genre_n),
        genre_likes=list(profile.genre_likes),
        decade_n=list(profile.decade_n),
        decade_likes=list(profile.decade_likes),
        recent=list(profile.recent),
    )


def broken(rows: npt.NDArray[np.float32], told: Sequence[Told]) -> npt.NDArray[np.float32]:
    """The rows with what the events' headers break."""
    for row, each in zip(rows, told, strict=True):
        what = Broken.of(each.headers)
        if what is not None:
            what.apply(row)
    return rows
