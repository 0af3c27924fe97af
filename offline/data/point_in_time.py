"""The state at chosen points in time, as arrays: all that the system would have known when it made a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features import RECENT, encoder_input, rating_input
from offline.data.history import State
from offline.data.readers import Ints, Ratings
from offline.data.split import user_order


@dataclass(frozen=True)
class PriorStates:
    """States, each from the events of an earlier second than the event that follows.

    Attributes:
        place: of the events that follow, INT64 [B].
        items, liked: the encoder's inputs, INT64 [B, history].
        rating: with `items` the ranker's input, INT64 [B, history].
        seen_row, seen_column: which items the users have rated, as pairs of a row and a place in the catalogue's
            ascending itemids; INT64 [seen].
        user: rows of `State.user_values`, INT64 [B, values].
        item_n, item_likes: counters of all items, by ascending itemid; INT64 [B, items].
    """

    place: Ints
    items: Ints
    liked: Ints
    rating: Ints
    seen_row: Ints
    seen_column: Ints
    user: Ints
    item_n: Ints
    item_likes: Ints

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True)
class _PriorState:
    place: int
    items: Ints
    liked: Ints
    rating: Ints
    seen: list[int]
    user: list[int]
    counters: Ints


class Collector:
    """Hands the states before some events to `use`, up to `size` at a time; call `finish` after the replay.

    A list is made before the second of its event begins, so the state is taken at the user's first event in that
    second.

    Args:
        ratings: the events.
        targets: places of the events, INT64.
        use: takes the states.
        history: events that the encoder sees.
        size: most states at a time.
    """

    def __init__(
        self,
        ratings: Ratings,
        targets: Ints,
        use: Callable[[PriorStates], None],
        history: int = RECENT,
        size: int = 256,
    ) -> None:
        self._ratings, self._use, self._history, self._size = ratings, use, history, size
        first = first_of_second(ratings)[targets]
        self._targets: dict[int, list[int]] = {}
        for target, place in zip(targets.tolist(), first.tolist(), strict=True):
            self._targets.setdefault(place, []).append(target)
        self.places = np.unique(first)
        self._itemids = sorted(ratings.catalogue.items)
        self._column = {itemid: column for column, itemid in enumerate(self._itemids)}
        self._states: list[_PriorState] = []

    def visit(self, place: int, state: State) -> None:
        """Take the state for the events of this second."""
        userid = int(self._ratings.userid[place])
        recent = state.profile(userid).recent
        items, liked = encoder_input(recent, self._history)
        rating = rating_input(recent, self._history)
        seen = [self._column[itemid] for itemid in state.seen[userid]]
        user = state.user_values(userid)
        counters = np.zeros((2, len(self._itemids)), dtype=np.int64)
        for itemid, counter in state.counters.items():
            counters[:, self._column[itemid]] = counter.n, counter.likes
        for target in self._targets[place]:
            self._states.append(_PriorState(target, items[0], liked[0], rating[0], seen, user, counters))
        if len(self._states) >= self._size:
            self._flush()

    def finish(self) -> None:
        """Hand over what is left."""
        if self._states:
            self._flush()

    def _flush(self) -> None:
        states, self._states = self._states, []
        self._use(
            PriorStates(
                place=np.array([state.place for state in states], dtype=np.int64),
                items=np.stack([state.items for state in states]),
                liked=np.stack([state.liked for state in states]),
                rating=np.stack([state.rating for state in states]),
                seen_row=np.repeat(np.arange(len(states)), [len(state.seen) for state in states]),
                seen_column=np.concatenate([np.array(state.seen, dtype=np.int64) for state in states]),
                user=np.array([state.user for state in states], dtype=np.int64),
                item_n=np.stack([state.counters[0] for state in states]),
                item_likes=np.stack([state.counters[1] for state in states]),
            )
        )


def first_of_second(ratings: Ratings) -> Ints:
    """For each event the place of its user's first event in the same second, INT64 [events]."""
    order = user_order(ratings)
    userid, ts = ratings.userid[order], ratings.ts[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (userid[1:] != userid[:-1]) | (ts[1:] != ts[:-1])
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return first
