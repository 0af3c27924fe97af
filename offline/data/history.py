"""Point-in-time features: history folded by the same code as the stream, each row taken before its event."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from features import (
    Catalogue,
    Erasure,
    Event,
    ItemChange,
    ItemCounter,
    Layer,
    LogRecord,
    Profile,
    Rated,
    Schema,
    Seen,
    User,
    UserChange,
    dense,
)
from features.columns import ItemTable, user_columns, user_values
from features.counters import count
from features.erasure import take_out
from features.ids import Id
from features.profile import fold
from features.seen import hidden, known, later, with_rated
from features.waiting import erase_waiting, wait
from offline.data.readers import Ints, Ratings
from scoring import UserState

Floats = npt.NDArray[np.float32]

CHUNK = 65_536
"""Most rows that are turned into features at once, and most events between two reports of progress."""

NUMBERS = 1 << 23
"""Most numbers in these rows, of which there are fewer where terms have many values."""

WAITING_EVENTS = 10_000
"""The default of `catalogue.waiting_events`."""


@dataclass
class State:
    """The state that the stream would have after the events folded so far.

    Attributes:
        schema: of the data set.
        catalogue: items and users as they were published.
        profiles: by userid.
        seen: by userid, what is known of the user and each item.
        counters: by itemid.
        erased: users who were erased, whose attributes are unknown from then on, or until they are changed.
        waiting_events: how many events may wait for their items.
        waiting: the events that wait, each with its offset, by item, in the order of the log.
        changed_users: the users whose attributes were changed.
        counted: items whose counters changed since somebody emptied it.
        layer: the items as they were changed since.
    """

    schema: Schema
    catalogue: Catalogue
    profiles: dict[Id, Profile] = field(default_factory=dict)
    seen: dict[Id, dict[Id, Seen]] = field(default_factory=dict)
    counters: dict[Id, ItemCounter] = field(default_factory=dict)
    erased: set[Id] = field(default_factory=set)
    waiting_events: int = WAITING_EVENTS
    waiting: dict[Id, list[tuple[int, Event]]] = field(default_factory=dict)
    changed_users: dict[Id, User] = field(default_factory=dict)
    counted: set[Id] = field(default_factory=set, compare=False)
    layer: Layer = field(init=False)

    def __post_init__(self) -> None:
        self.layer = Layer(self.catalogue.items)

    def profile(self, userid: Id) -> Profile:
        """The user's profile, empty for a new user."""
        found = self.profiles.get(userid)
        if found is None:
            found = self.profiles[userid] = self.schema.profile(userid)
            self.seen[userid] = {}
        return found

    def user(self, userid: Id) -> User:
        """The user's attributes; of one who was erased, and not changed since, nothing is known."""
        changed = self.changed_users.get(userid)
        if changed is not None:
            return changed
        return self.schema.user(userid) if userid in self.erased else self.catalogue.user(userid)

    def counter(self, itemid: Id) -> ItemCounter:
        """The item's counter, empty for a new item."""
        found = self.counters.get(itemid)
        if found is None:
            found = self.counters[itemid] = ItemCounter()
        return found

    def step(self, event: Event) -> bool:
        """Fold an event of a known item; whether it counts."""
        codes, profile = self.schema.codes, self.profile(event.userid)
        of_user = self.seen[event.userid]
        seen = of_user.get(event.itemid)
        before = known(seen, event.code, codes)
        if not fold(codes, profile, before, event, self.layer):
            return False
        after = later(event, before)
        if after != before:
            of_user[event.itemid] = with_rated(codes, seen, after)
            count(codes, self.counter(event.itemid), before, after)
            self.counted.add(event.itemid)
        return True

    def take(self, record: LogRecord | None, offset: int = 0) -> bool:
        """Fold a record of the log, None for one that is gone; whether it is an event that counts.

        Args:
            record: the record.
            offset: its place in its partition.

        Raises:
            EventError: if it is an event whose item is not known, and too many wait already.
        """
        if isinstance(record, Event):
            if record.itemid in self.layer:
                return self.step(record)
            wait(self.waiting, record.itemid, (offset, record), self.waiting_events)
        elif isinstance(record, Erasure):
            self.erase(record.userid)
        elif isinstance(record, ItemChange):
            self.change_item(record)
        elif isinstance(record, UserChange):
            self.change_user(record)
        return False

    def change_item(self, change: ItemChange) -> list[Event]:
        """Change an item, and fold the events that waited for it; gives these of them that count."""
        self.layer.apply(change)
        if change.itemid not in self.layer:
            return []
        return [event for _, event in self.waiting.pop(change.itemid, []) if self.step(event)]

    def change_user(self, change: UserChange) -> None:
        """Change a user's attributes."""
        self.changed_users[change.userid] = change.user
        profile = self.profiles.get(change.userid)
        if profile is not None and profile.version:
            # The feature store takes no row that is not later than the stored one (see `features.rows`).
            profile.version += 1

    def erase(self, userid: Id) -> None:
        """Forget a user, as if none of the user's events had been folded."""
        self.erased.add(userid)
        self.changed_users.pop(userid, None)
        erase_waiting(self.waiting, lambda entry: entry[1].userid == userid)
        self.profiles.pop(userid, None)
        seen = self.seen.pop(userid, {})
        for itemid, counter in take_out(self.schema.codes, seen, self.counters, self._latest).items():
            self.counted.add(itemid)
            if counter.n:
                self.counters[itemid] = counter
            else:
                del self.counters[itemid]

    def _latest(self, itemids: Set[Id]) -> dict[Id, list[Rated]]:
        """The latest events of each type that all users have with items."""
        latest: dict[Id, list[Rated]] = {itemid: [] for itemid in itemids}
        for seen in self.seen.values():
            for itemid in itemids & seen.keys():
                latest[itemid] += seen[itemid]
        return latest

    def user_state(self, userid: Id) -> UserState:
        """The user as of now, for a list without what is hidden from the user."""
        return UserState.of(self.schema, self.profile(userid), self.user(userid), self.layer, self.hidden(userid))

    def hidden(self, userid: Id) -> list[Id]:
        """The items that are hidden from a user."""
        codes, seen = self.schema.codes, self.seen.get(userid, {})
        if codes.all_hide:
            return list(seen)
        return [itemid for itemid, of_item in seen.items() if hidden(codes, of_item)]

    def user_values(self, userid: Id) -> list[int]:
        """The user's counts (see `features.columns.user_values`)."""
        return user_values(self.schema, self.profile(userid), self.layer)


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
        for place, event, called in zip(part.tolist(), ratings.events(part), calls[part].tolist(), strict=True):
            for number, visitor in enumerate(visitors) if called else ():
                if called >> number & 1:
                    visitor.visit(place, state)
            state.step(event)
    progress(len(order), len(order))
    return state


def rows_at_once(width: int) -> int:
    """Rows of a width that are turned into features at once."""
    return max(1, min(CHUNK, NUMBERS // width))


class PointInTime:
    """Collects the dense input of the ranker for events, each as of the moment before it.

    Rows are kept as whole numbers in one buffer, then turned into features together.
    """

    def __init__(self, ratings: Ratings, places: Ints) -> None:
        schema = ratings.schema
        self.places = places
        self._ratings, self._schema = ratings, schema
        self._row_of = np.full(len(ratings), -1, dtype=np.int64)
        self._row_of[places] = np.arange(len(places))
        self._out = np.empty((len(places), len(schema.dense_columns)), dtype=np.float32)
        self._buffer = np.empty((rows_at_once(schema.width), schema.width), dtype=np.int64)
        self._places = np.empty(len(self._buffer), dtype=np.int64)
        self._filled = 0
        self._items = ItemTable(schema, ratings.catalogue.items)

    def visit(self, place: int, state: State) -> None:
        """Keep the row of the event at `place`."""
        values = state.user_values(self._ratings.userid(place))
        counter = state.counter(self._ratings.itemid(place))
        values += (counter.n, counter.likes)
        self._buffer[self._filled] = values
        self._places[self._filled] = place
        self._filled += 1
        if self._filled == len(self._buffer):
            self._flush()

    def finish(self) -> Floats:
        """FP32 [places, columns], in the order of the given places."""
        self._flush()
        return self._out

    def _flush(self) -> None:
        rows, places = self._buffer[: self._filled], self._places[: self._filled]
        user = user_columns(self._schema, rows)
        item = self._items.at(self._ratings.item[places] - 1, rows[:, -2], rows[:, -1])
        self._out[self._row_of[places]] = dense(self._schema, user, item)
        self._filled = 0
