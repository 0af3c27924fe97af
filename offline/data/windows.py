"""Training events cut into windows, as arrays that a training loop slices without a Python step for each event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features import LIKED
from offline.data.readers import Ints, Ratings


@dataclass(frozen=True)
class Sequences:
    """Events by user, within a user by time; within a second in the order of a profile (itemid) or in that of a replay.

    Attributes:
        itemid, rating, ts: INT64 [events].
        start: where each user's events start, INT64 [users + 1].
        userid: INT64 [users], ascending.
    """

    itemid: Ints
    rating: Ints
    ts: Ints
    start: Ints
    userid: Ints

    @cached_property
    def liked(self) -> npt.NDArray[np.bool_]:
        """True for each event that is a like, [events]."""
        return self.rating >= LIKED


def by_user(ratings: Ratings, places: Ints) -> Ints:
    """The places, by user, within a user in the order of a profile."""
    return places[np.lexsort((ratings.itemid[places], ratings.ts[places], ratings.userid[places]))]


def as_replayed(ratings: Ratings, places: Ints) -> Ints:
    """The places, by user, within a user in the order of a replay, in which each event finds those before it."""
    return places[np.lexsort((places, ratings.ts[places], ratings.userid[places]))]


def sequences(ratings: Ratings, places: Ints) -> Sequences:
    """The events at `places`, by user, in the order of a profile."""
    return in_order(ratings, by_user(ratings, places))


def in_order(ratings: Ratings, order: Ints) -> Sequences:
    """The events at `order`, which is by user."""
    userid, first = np.unique(ratings.userid[order], return_index=True)
    return Sequences(
        itemid=ratings.itemid[order],
        rating=ratings.rating[order],
        ts=ratings.ts[order],
        start=np.append(first, len(order)).astype(np.int64),
        userid=userid,
    )


def shuffled(events: Sequences, rng: np.random.Generator) -> Sequences:
    """The same events with those of a user that share a second in random order.

    The order of profiles within a second is that of item ids, which tells nothing; a model that saw no other would
    learn it.
    """
    user = np.repeat(np.arange(len(events.userid)), np.diff(events.start))
    order = np.lexsort((rng.random(len(user)), events.ts, user))
    return replace(events, itemid=events.itemid[order], rating=events.rating[order])


@dataclass(frozen=True)
class Windows:
    """Runs of at most `length` + 1 events of one user: each event but the last is a position that predicts the next.

    Attributes:
        length: most positions.
        user_start: where the events of the window's user start, INT64 [windows].
        start: where the window starts, INT64 [windows].
        n: positions, 1 to `length`, INT64 [windows].
    """

    length: int
    user_start: Ints
    start: Ints
    n: Ints

    def __len__(self) -> int:
        return len(self.start)


def windows(events: Sequences, length: int, rng: np.random.Generator) -> Windows:
    """Cut every user's events into windows whose positions do not overlap.

    The first window of a user with more events than fit is cut short at random, so that an event stands at another
    position in each epoch.
    """
    first, positions = events.start[:-1], np.diff(events.start) - 1
    first, positions = first[positions > 0], positions[positions > 0]
    shift = np.where(positions > length, rng.integers(1, length + 1, len(positions)), length)
    later = np.maximum(positions - shift, 0)
    count = 1 + -(-later // length)
    user = np.repeat(np.arange(len(first)), count)
    place = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    begin = np.where(place == 0, 0, shift[user] + (place - 1) * length)
    end = np.minimum(shift[user] + place * length, positions[user])
    return Windows(length, first[user], first[user] + begin, end - begin)


def batches(cut: Windows, size: int, rng: np.random.Generator) -> list[Ints]:
    """Windows of like length together, so that little is padding; in random order, INT64 [size or fewer] each."""
    order = np.argsort(cut.n + rng.uniform(0.0, 8.0, len(cut)), kind="stable")
    groups = [order[place : place + size] for place in range(0, len(order), size)]
    return [groups[place] for place in rng.permutation(len(groups))]
