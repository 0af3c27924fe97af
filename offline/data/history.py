"""Point-in-time features: history folded by the same code as the stream, each row taken before its event."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from features import (
    DENSE_COLUMNS,
    Catalogue,
    Erasure,
    Event,
    ItemCounter,
    Profile,
    Rated,
    User,
    count,
    dense,
    fold,
    take_out,
)
from features.columns import WIDTH, ItemTable, user_columns, user_values
from offline.data.readers import Ints, Ratings
from scoring import UserState

Floats = npt.NDArray[np.float32]

CHUNK = 65_536
"""Rows that are turned into features at once."""


@dataclass
class State:
    """The state that the stream would have after the events folded so far.

    Attributes:
        catalogue: items and users.
        profiles: by userid.
        seen: by userid, what is known of the user's rating of each item.
        counters: by itemid.
        erased: users who were erased, whose attributes are unknown from then on.
    """

    catalogue: Catalogue
    profiles: dict[int, Profile] = field(default_factory=dict)
    seen: dict[int, dict[int, Rated]] = field(default_factory=dict)
    counters: dict[int, ItemCounter] = field(default_factory=dict)
    erased: set[int] = field(default_factory=set)

    def profile(self, userid: int) -> Profile:
        """The user's profile, empty for a new user."""
        found = self.profiles.get(userid)
        if found is None:
            found = self.profiles[userid] = Profile(userid)
            self.seen[userid] = {}
        return found

    def user(self, userid: int) -> User:
        """The user's attributes; of one who was erased nothing is known."""
        return User(userid) if userid in self.erased else self.catalogue.user(userid)

    def counter(self, itemid: int) -> ItemCounter:
        """The item's counter, empty for a new item."""
        found = self.counters.get(itemid)
        if found is None:
            found = self.counters[itemid] = ItemCounter()
        return found

    def step(self, event: Event) -> bool:
        """Fold one event; whether it is now the user's rating of the item."""
        profile = self.profile(event.userid)
        seen = self.seen[event.userid]
        known = seen.get(event.itemid)
        if not fold(profile, known, event, self.catalogue.items[event.itemid]):
            return False
        seen[event.itemid] = (event.ts, event.rating)
        count(self.counter(event.itemid), known, event)
        return True

    def take(self, event: Event | Erasure | None) -> bool:
        """Fold an event of the log, None for one that is gone; whether it is now its user's rating of an item."""
        if isinstance(event, Event):
            return self.step(event)
        if event is not None:
            self.erase(event.userid)
        return False

    def erase(self, userid: int) -> None:
        """Forget a user, as if none of the user's events had been folded."""
        self.erased.add(userid)
        self.profiles.pop(userid, None)
        seen = self.seen.pop(userid, {})
        ratings = {itemid: [rated] for itemid, rated in seen.items()}
        for itemid, counter in take_out(ratings, self.counters, self._ratings).items():
            if counter.n:
                self.counters[itemid] = counter
            else:
                del self.counters[itemid]

    def _ratings(self, itemids: Set[int]) -> dict[int, list[Rated]]:
        """The ratings of items by all users."""
        ratings: dict[int, list[Rated]] = {itemid: [] for itemid in itemids}
        for seen in self.seen.values():
            for itemid in itemids & seen.keys():
                ratings[itemid].append(seen[itemid])
        return ratings

    def user_state(self, userid: int) -> UserState:
        """The user as of now, for a list without what the user has rated."""
        profile, catalogue = self.profile(userid), self.catalogue
        return UserState.of(profile, self.user(userid), catalogue.items, list(self.seen[userid]))

    def user_values(self, userid: int) -> list[int]:
        """The user's counts (see `features.columns.user_values`)."""
        return user_values(self.profile(userid), self.catalogue.items)


class Visitor(Protocol):
    """Looks at the state before some of the events.

    Attributes:
        places: of these events in the ratings, INT64.
    """

    places: Ints

    def visit(self, place: int, state: State) -> None:
        """Called before the event at `place` is folded."""


Progress = Callable[[int, int], None]
"""Called with events folded and events in all."""


def replay(
    ratings: Ratings,
    order: Ints,
    state: State,
    visitors: Sequence[Visitor] = (),
    progress: Progress = lambda done, total: None,
) -> State:
    """Fold events into `state`, in place.

    Args:
        ratings: the events.
        order: places of the events in the order to fold them, INT64 [events].
        state: what they are folded into.
        visitors: look at the state before some of the events.
        progress: called each CHUNK events.

    Returns:
        `state`.
    """
    calls = np.zeros(len(ratings), dtype=np.int64)
    for number, visitor in enumerate(visitors):
        calls[visitor.places] |= 1 << number
    for start in range(0, len(order), CHUNK):
        progress(start, len(order))
        part = order[start : start + CHUNK]
        columns = (
            part,
            ratings.userid[part],
            ratings.itemid[part],
            ratings.rating[part],
            ratings.ts[part],
            calls[part],
        )
        for place, userid, itemid, rating, ts, called in zip(*(column.tolist() for column in columns), strict=True):
            for number, visitor in enumerate(visitors) if called else ():
                if called >> number & 1:
                    visitor.visit(place, state)
            state.step(Event(userid, itemid, rating, ts))
    progress(len(order), len(order))
    return state


class PointInTime:
    """Collects the dense input of the ranker for events, each as of the moment before it.

    Rows are kept as whole numbers in one buffer of CHUNK rows, then turned into features together.
    """

    def __init__(self, ratings: Ratings, places: Ints) -> None:
        self.places = places
        self._ratings = ratings
        self._row_of = np.full(len(ratings), -1, dtype=np.int64)
        self._row_of[places] = np.arange(len(places))
        self._out = np.empty((len(places), len(DENSE_COLUMNS)), dtype=np.float32)
        self._buffer = np.empty((CHUNK, WIDTH), dtype=np.int64)
        self._places = np.empty(CHUNK, dtype=np.int64)
        self._filled = 0
        self._items = ItemTable(ratings.catalogue.items)

    def visit(self, place: int, state: State) -> None:
        """Keep the row of the event at `place`."""
        values = state.user_values(int(self._ratings.userid[place]))
        counter = state.counter(int(self._ratings.itemid[place]))
        values += (counter.n, counter.likes)
        self._buffer[self._filled] = values
        self._places[self._filled] = place
        self._filled += 1
        if self._filled == CHUNK:
            self._flush()

    def finish(self) -> Floats:
        """FP32 [places, 32], in the order of the given places."""
        self._flush()
        return self._out

    def _flush(self) -> None:
        rows, places = self._buffer[: self._filled], self._places[: self._filled]
        user = user_columns(rows)
        item = self._items.columns(self._ratings.itemid[places], rows[:, -2], rows[:, -1])
        self._out[self._row_of[places]] = dense(user, item)
        self._filled = 0
