"""The state of the system at chosen seconds of the replay, in batches.

The replay begins with the state that `publish` writes: all offline events of all users, those included that happened
later than the event at hand, for this is what the running system holds. An online event is known from the second after
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from features import Event, Id, IdKind, Profile, Schema, Seen, ascending, fold
from features.columns import user_columns
from features.seen import known, later, with_rated
from offline.data.history import State, Visitor
from offline.data.readers import Ints, Ratings
from scoring import RecentCounters, UserState
from scoring.counters import COLUMNS

BATCH = 128
"""Lists made at once."""

START = 0
"""A second before all events: the state is that of the start of the replay."""

NEW_USER: dict[IdKind, Id] = {IdKind.INTEGER: 0, IdKind.STRING: ""}
"""An id that no user has, by the kind of ids."""

Progress = Callable[[int, int], None]
"""Called with moments taken and moments in all."""


@dataclass(frozen=True)
class Asked:
    """Moments at which a list is asked for, by ascending second; INT64 [moments] each.

    Attributes:
        second: online events of an earlier second are known.
        user: number of the user whose list it is.
        last: as if the user were new, with only this many of their last events; -1: all of a known user.
    """

    second: Ints
    user: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.second)

    @classmethod
    def unique(cls, second: Ints, user: Ints, last: Ints) -> tuple[Asked, Ints]:
        """The distinct moments, and for each of the given its place among them."""
        distinct, place = np.unique(np.column_stack([second, user, last]), axis=0, return_inverse=True)
        return cls(*np.ascontiguousarray(distinct.T)), place.reshape(-1)


@dataclass(frozen=True)
class Known:
    """The state at B moments.

    Attributes:
        first: place of the first of these moments among the asked; the others follow it.
        schema: of the data set.
        users: the users, of whom one that is taken for new has an id that no user has; what is hidden is excluded.
        counters: of the items, by ascending itemid; [B, items].
    """

    first: int
    schema: Schema
    users: Sequence[UserState]
    counters: RecentCounters

    def __len__(self) -> int:
        return len(self.users)

    @property
    def events(self) -> Ints:
        """Events of each profile, INT64 [B]."""
        rows = np.array([user.features for user in self.users], dtype=np.int64)
        return user_columns(self.schema, rows)["n"].astype(np.int64)


class Items:
    """Item counters as columns, kept current event by event.

    Args:
        state: read after each event.
        half_life_days: half-life of recent popularity.
    """

    def __init__(self, state: State, half_life_days: float) -> None:
        self._state, self._half_life_days = state, half_life_days
        self.itemids = ascending(state.catalogue.items)
        self.column = {itemid: column for column, itemid in enumerate(self.itemids)}
        self._columns = {name: np.zeros(len(self.itemids), dtype=np.int64) for name in COLUMNS}
        self._taken: RecentCounters | None = None
        for itemid in state.counters:
            self.follow(itemid)

    def follow(self, itemid: Id) -> None:
        """Take over the counters of an item."""
        counter, column = self._state.counters[itemid], self.column[itemid]
        for name, values in self._columns.items():
            values[column] = getattr(counter, name)
        self._taken = None

    def now(self) -> RecentCounters:
        """The counters of all items, not to be changed."""
        if self._taken is None:
            columns = {name: values.copy() for name, values in self._columns.items()}
            self._taken = RecentCounters(**columns, half_life_days=self._half_life_days)
        return self._taken


class Replay:
    """The online events, replayed from the state of the snapshot.

    Args:
        ratings: the events.
        order: places of the online events in the order of the replay.
        state: the state after the offline history; changed in place.
        half_life_days: half-life of recent popularity.
        visitors: look at the state before each event, as in `offline.data.history.replay`.
    """

    def __init__(
        self,
        ratings: Ratings,
        order: Ints,
        state: State,
        half_life_days: float,
        visitors: Sequence[Visitor] = (),
    ) -> None:
        self._ratings, self._order, self._state = ratings, order, state
        self._visitors = visitors
        self.items = Items(state, half_life_days)
        self._done = 0

    def at(self, asked: Asked, progress: Progress = lambda done, total: None) -> Iterator[Known]:
        """Replay all online events, and hand over what is known at the asked moments."""
        until = np.searchsorted(self._ratings.ts[self._order], asked.second, side="left")
        for first in range(0, len(asked), BATCH):
            progress(first, len(asked))
            users, counters = [], []
            for row in range(first, min(first + BATCH, len(asked))):
                self._advance(int(until[row]))
                users.append(self._user(self._ratings.users.id(int(asked.user[row])), int(asked.last[row])))
                counters.append(self.items.now())
            yield Known(first, self._state.schema, users, RecentCounters.stack(counters))
        self._advance(len(self._order))
        progress(len(asked), len(asked))

    def _advance(self, until: int) -> None:
        places = self._order[self._done : until]
        for place, event in zip(places.tolist(), self._ratings.events(places), strict=True):
            for visitor in self._visitors:
                visitor.visit(place, self._state)
            if self._state.step(event):
                self.items.follow(event.itemid)
        self._done = max(self._done, until)

    def _user(self, userid: Id, last: int) -> UserState:
        state = self._state
        if last < 0:
            return state.user_state(userid)
        new, catalogue = shortened(state.profile(userid), last, state), state.catalogue
        return UserState.of(state.schema, new, catalogue.user(new.userid), catalogue.items, state.hidden(userid))


def shortened(profile: Profile, last: int, state: State) -> Profile:
    """The profile of a new user who did only the last events of this one."""
    schema, codes = state.schema, state.schema.codes
    new = schema.profile(NEW_USER[schema.user_ids])
    seen: dict[Id, Seen] = {}
    for ts, itemid, code in profile.recent[len(profile.recent) - min(last, len(profile.recent)) :]:
        event, of_item = Event(new.userid, itemid, code, ts), seen.get(itemid)
        before = known(of_item, code, codes)
        if fold(codes, new, before, event, state.catalogue.items):
            seen[itemid] = with_rated(codes, of_item, later(event, before))
    return new
