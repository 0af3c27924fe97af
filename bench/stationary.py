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
from features import Event, Id, Item, Profile, Rated, dense, fold
from features.broken import Broken
from features.columns import Before, ItemTable
from features.seen import later
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
        user = ratings.user[first]
        users = np.random.default_rng(seed).permutation(np.unique(user))
        self.groups = [np.flatnonzero(np.isin(user, some)) for some in np.array_split(users, GROUPS)]
        state = State(ratings.schema, ratings.catalogue)
        replay(ratings, time_order(ratings, parts.offline), state, (self, *others))
        self._counters = np.zeros((2, len(ratings.items)), dtype=np.int64)
        for itemid, counter in state.counters.items():
            self._counters[:, ratings.items.number(itemid) - 1] = counter.n, counter.likes

    def visit(self, place: int, state: State) -> None:
        """Keep the profile before a block."""
        self._profiles[place] = state.profile(self._ratings.userid(place)).copy()

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
        events = [self._ratings.event(place) for _, _, place in found]
        return events, [Origin(block, place) for _, block, place in found]

    def folded(self, stream: Sequence[ScenarioEvent], origins: Sequence[Origin], items: Mapping[Id, Item]) -> Events:
        """Fold a stream, and give each event with the ranker's input before it."""
        schema = self._ratings.schema
        codes, table = schema.codes, ItemTable(schema, items)
        before = Before(table)
        profiles: dict[tuple[int, Id], Profile] = {}
        rated: dict[tuple[int, Id, Id, int], Rated] = {}
        for sent, origin in zip(stream, origins, strict=True):
            event = sent.event
            key = origin.block, event.userid
            profile = profiles.get(key)
            if profile is None:
                known = self._profiles[int(self.blocks[origin.block][0])]
                profile = profiles[key] = known.copy() if known.userid == event.userid else schema.profile(event.userid)
            before.take(profile)
            of_type = (*key, event.itemid, codes.type_number[event.code])
            if fold(codes, profile, rated.get(of_type), event, items):
                rated[of_type] = later(event, rated.get(of_type))
        column = table.column(sent.event.itemid for sent in stream)
        inputs = dense(schema, before.columns(), table.at(column, *self._counted(column, origins)))
        return Events(
            partition=0,
            offset=np.arange(len(stream), dtype=np.int64),
            ts=np.array([sent.event.ts for sent in stream], dtype=np.int64),
            liked=codes.positive_array[[sent.event.code for sent in stream]],
            rows=broken(inputs, stream, schema.dense_columns),
            wall_ts=0.0,
        )

    def _counted(self, column: Ints, origins: Sequence[Origin]) -> tuple[Ints, Ints]:
        """(events, positive ones) of items at the end of the history, without the event itself where it is of them."""
        place = np.array([origin.place for origin in origins], dtype=np.int64)
        n, likes = self._counters[:, column]
        own = self._ratings.item[place] - 1 == column
        return n - own, likes - (own & self._ratings.positive[place])


def broken(
    rows: npt.NDArray[np.float32], stream: Sequence[ScenarioEvent], columns: Sequence[str]
) -> npt.NDArray[np.float32]:
    """The rows with what the events' headers break."""
    for row, sent in zip(rows, stream, strict=True):
        change = Broken.of(sent.headers, columns)
        if change is not None:
            change.apply(row, columns)
    return rows
