"""The state at chosen points in time: all that the system would have known when it made a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from offline.data.history import State
from offline.data.readers import Ints, Ratings
from offline.data.split import user_order
from scoring import Counters, UserState

NUMBERS = 1 << 26
"""Most counters that are kept at a time, 512 MB each of events and positive ones."""


@dataclass(frozen=True)
class PriorStates:
    """B states, each from the events of an earlier second than the event that follows.

    Attributes:
        place: of the events that follow, INT64 [B].
        users: the events' users.
        counters: of all items, by ascending itemid; [B, items].
    """

    place: Ints
    users: Sequence[UserState]
    counters: Counters

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True)
class _PriorState:
    place: int
    user: UserState
    counters: Ints


class Collector:
    """Hands the states before some events to `use`, up to `size` at a time; call `finish` after the replay.

    A list is made before the second of its event begins, so the state is taken at the user's first event in that
    second.

    Args:
        ratings: the events.
        targets: places of the events, INT64.
        use: takes the states.
        size: most states at a time, of which there are fewer where there are many items.
    """

    def __init__(self, ratings: Ratings, targets: Ints, use: Callable[[PriorStates], None], size: int = 256) -> None:
        self._ratings, self._use, self._size = ratings, use, max(1, min(size, NUMBERS // len(ratings.items)))
        first = first_of_second(ratings)[targets]
        self._targets: dict[int, list[int]] = {}
        for target, place in zip(targets.tolist(), first.tolist(), strict=True):
            self._targets.setdefault(place, []).append(target)
        self.places = np.unique(first)
        self._states: list[_PriorState] = []
        self._counters: Ints | None = None

    def visit(self, place: int, state: State) -> None:
        """Take the state for the events of this second."""
        user, counters = state.user_state(self._ratings.userid(place)), self._counters_of(state).copy()
        for target in self._targets[place]:
            self._states.append(_PriorState(target, user, counters))
        if len(self._states) >= self._size:
            self._flush()

    def _counters_of(self, state: State) -> Ints:
        """Events and positive ones of all items, INT64 [2, items]; only those that changed are read again."""
        items, changed = self._ratings.items, state.counted
        if self._counters is None:
            self._counters, changed = np.zeros((2, len(items)), dtype=np.int64), {*state.counters}
        for itemid in changed:
            counter = state.counters.get(itemid)
            self._counters[:, items.number(itemid) - 1] = (counter.n, counter.likes) if counter else (0, 0)
        state.counted.clear()
        return self._counters

    def finish(self) -> None:
        """Hand over what is left."""
        if self._states:
            self._flush()

    def _flush(self) -> None:
        states, self._states = self._states, []
        self._use(
            PriorStates(
                np.array([state.place for state in states], dtype=np.int64),
                [state.user for state in states],
                Counters(*np.stack([state.counters for state in states], axis=1)),
            )
        )


def first_of_second(ratings: Ratings) -> Ints:
    """For each event the place of its user's first event in the same second, INT64 [events]."""
    order = user_order(ratings.user, ratings.ts)
    user, ts = ratings.user[order], ratings.ts[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (user[1:] != user[:-1]) | (ts[1:] != ts[:-1])
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return first
