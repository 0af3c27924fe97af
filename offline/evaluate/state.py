"""What the system would know at chosen seconds of the replay, in batches.

The replay begins with the state that `publish` writes: all offline events of all users, those included that happened
later than the event at hand, for this is what the running system holds. An online event is known from the second after
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import DECADES, GENRES, LIKED, Event, Profile, Recent, fold, popularity, preferences
from features.columns import user_values
from features.profile import Rated
from offline.data.history import State, Visitor
from offline.data.readers import Ints, Ratings

Scores = npt.NDArray[np.floating]

BATCH = 128
"""Lists made at once."""

START = 0
"""A second before all events: the state is that of the start of the replay."""

Progress = Callable[[int, int], None]
"""Called with moments taken and moments in all."""


@dataclass(frozen=True)
class Asked:
    """Moments at which a list is asked for, by ascending second; INT64 [moments] each.

    Attributes:
        second: online events of an earlier second are known.
        userid: whose list.
        last: as if the user were new, with only this many of their last events; -1: all of a known user.
    """

    second: Ints
    userid: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.second)

    @classmethod
    def unique(cls, second: Ints, userid: Ints, last: Ints) -> tuple[Asked, Ints]:
        """The distinct moments, and for each of the given its place among them."""
        distinct, place = np.unique(np.column_stack([second, userid, last]), axis=0, return_inverse=True)
        return cls(*np.ascontiguousarray(distinct.T)), place.reshape(-1)


@dataclass(frozen=True)
class Known:
    """What is known at B moments; columns of the catalogue are its ascending itemids.

    Attributes:
        first: place of the first of these moments among the asked; the others follow it.
        userid: INT64 [B]; 0 where the user is taken for a new one.
        events: events of the profile, INT64 [B].
        items, rating: the last events, oldest first, 0 for padding; INT64 [B, history].
        seen_row, seen_column: what the users have rated, as pairs of a row and a column; INT64 [seen].
        user: rows as `State.user_values` makes them, INT64 [B, values].
        terms: weights of genres and decades, FP64 [B, GENRES + DECADES].
        n, likes: counters of the items, INT64 [B, items].
        popular: popularity of the items, FP64 [B, items].
    """

    first: int
    userid: Ints
    events: Ints
    items: Ints
    rating: Ints
    seen_row: Ints
    seen_column: Ints
    user: Ints
    terms: Scores
    n: Ints
    likes: Ints
    popular: Scores

    def __len__(self) -> int:
        return len(self.userid)

    @property
    def liked(self) -> Ints:
        """INT64 [B, history], 1 for a liked item."""
        return (self.rating >= LIKED).astype(np.int64)


class Items:
    """Item counters as columns, kept current event by event.

    Args:
        state: read after each event.
        half_life_days: half-life of recent popularity.
    """

    def __init__(self, state: State, half_life_days: float) -> None:
        self._state, self._half_life_days = state, half_life_days
        self.itemids = np.array(sorted(state.catalogue.items), dtype=np.int64)
        self.column = {itemid: column for column, itemid in enumerate(self.itemids.tolist())}
        self._columns = {
            name: np.zeros(len(self.itemids), dtype=np.int64) for name in ("n", "likes", "recent_likes", "last_ts")
        }
        self._taken: tuple[Ints, Ints, Scores] | None = None
        for itemid in state.counters:
            self.follow(itemid)

    def follow(self, itemid: int) -> None:
        """Take over the counters of an item."""
        counter, column = self._state.counters[itemid], self.column[itemid]
        for name, values in self._columns.items():
            values[column] = getattr(counter, name)
        self._taken = None

    def now(self) -> tuple[Ints, Ints, Scores]:
        """`n`, `likes` and popularity of all items, not to be changed."""
        if self._taken is None:
            popular = popularity(self._columns, self._half_life_days)
            self._taken = self._columns["n"].copy(), self._columns["likes"].copy(), popular
        return self._taken


class Replay:
    """The online events, replayed from the state of the snapshot.

    Args:
        ratings: the events.
        order: places of the online events in the order of the replay.
        state: the state after the offline history; changed in place.
        history: events that the models see.
        half_life_days: half-life of recent popularity.
        visitors: look at the state before each event, as in `offline.data.history.replay`.
    """

    def __init__(
        self,
        ratings: Ratings,
        order: Ints,
        state: State,
        history: int,
        half_life_days: float,
        visitors: Sequence[Visitor] = (),
    ) -> None:
        self._ratings, self._order, self._state, self._history = ratings, order, state, history
        self._visitors = visitors
        self.items = Items(state, half_life_days)
        self._done = 0

    def at(self, asked: Asked, progress: Progress = lambda done, total: None) -> Iterator[Known]:
        """Replay all online events, and hand over what is known at the asked moments."""
        until = np.searchsorted(self._ratings.ts[self._order], asked.second, side="left")
        for first in range(0, len(asked), BATCH):
            progress(first, len(asked))
            rows = []
            for row in range(first, min(first + BATCH, len(asked))):
                self._advance(int(until[row]))
                rows.append(self._moment(int(asked.userid[row]), int(asked.last[row])))
            yield self._known(first, rows)
        self._advance(len(self._order))
        progress(len(asked), len(asked))

    def _advance(self, until: int) -> None:
        ratings = self._ratings
        for place in self._order[self._done : until].tolist():
            for visitor in self._visitors:
                visitor.visit(place, self._state)
            fields = (int(column[place]) for column in (ratings.userid, ratings.itemid, ratings.rating, ratings.ts))
            event = Event(*fields)
            if self._state.step(event):
                self.items.follow(event.itemid)
        self._done = max(self._done, until)

    def _moment(self, userid: int, last: int) -> _Moment:
        state = self._state
        profile = state.profile(userid)
        seen = [self.items.column[itemid] for itemid in state.seen[userid]]
        if last >= 0:
            profile = shortened(profile, last, state)
        values = user_values(profile, state.catalogue.items)
        wanted = preferences(profile.recent, state.catalogue.items.get)
        # A copy, as the profile goes on changing before the batch is full.
        recent = profile.recent[-self._history :]
        return _Moment(profile.userid, profile.n, recent, seen, values, wanted, self.items.now())

    def _known(self, first: int, rows: list[_Moment]) -> Known:
        items, rating = histories([row.recent for row in rows], self._history)
        terms = np.zeros((len(rows), len(GENRES) + DECADES))
        for weights, row in zip(terms, rows, strict=True):
            for genre, weight in row.wanted["genres"].items():
                weights[genre] = weight
            for decade, weight in row.wanted["decades"].items():
                weights[len(GENRES) + decade] = weight
        return Known(
            first=first,
            userid=np.array([row.userid for row in rows], dtype=np.int64),
            events=np.array([row.events for row in rows], dtype=np.int64),
            items=items,
            rating=rating,
            seen_row=np.repeat(np.arange(len(rows)), [len(row.seen) for row in rows]),
            seen_column=np.array([column for row in rows for column in row.seen], dtype=np.int64),
            user=np.array([row.user for row in rows], dtype=np.int64),
            terms=terms,
            n=np.stack([row.items[0] for row in rows]),
            likes=np.stack([row.items[1] for row in rows]),
            popular=np.stack([row.items[2] for row in rows]),
        )


@dataclass(frozen=True)
class _Moment:
    userid: int
    events: int
    recent: list[Recent]
    seen: list[int]
    user: list[int]
    wanted: dict[str, dict[int, float]]
    items: tuple[Ints, Ints, Scores]


def histories(recent: Sequence[Sequence[Recent]], length: int) -> tuple[Ints, Ints]:
    """`items` and `rating` of the last `length` events of each profile, oldest first, 0 for padding; INT64 [B, length].

    >>> [part.tolist() for part in histories([[(1, 7, 5), (2, 8, 3)], []], 3)]
    [[[7, 8, 0], [0, 0, 0]], [[5, 3, 0], [0, 0, 0]]]
    """
    items = np.zeros((len(recent), length), dtype=np.int64)
    rating = np.zeros((len(recent), length), dtype=np.int64)
    for row, events in enumerate(recent):
        last = events[-length:]
        if last:
            _, items[row, : len(last)], rating[row, : len(last)] = zip(*last, strict=True)
    return items, rating


def shortened(profile: Profile, last: int, state: State) -> Profile:
    """The profile of a new user who did only the last events of this one."""
    new = Profile(0)
    known: dict[int, Rated] = {}
    for ts, itemid, rating in profile.recent[len(profile.recent) - min(last, len(profile.recent)) :]:
        fold(new, known.get(itemid), Event(0, itemid, rating, ts), state.catalogue.items[itemid])
        known[itemid] = (ts, rating)
    return new
