"""Training events cut into windows, as arrays that a training loop slices without a Python step for each event."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.data.readers import Bools, Ints, Ratings


@dataclass(frozen=True)
class Sequences:
    """Events by user, within a user by time; within a second in the order of a profile or in that of a replay.

    Attributes:
        item, code, ts: INT64 [events].
        positive: True for a positive event, [events].
        target: True for a discovery (`offline.data.discoveries`), [events].
        start: where each user's events start, INT64 [users + 1].
        user: INT64 [users], ascending.
    """

    item: Ints
    code: Ints
    ts: Ints
    positive: Bools
    target: Bools
    start: Ints
    user: Ints

    def __len__(self) -> int:
        return len(self.item)

    def user_of_event(self) -> Ints:
        """Place of each event's user in `user`, INT64 [events]."""
        return np.repeat(np.arange(len(self.user)), np.diff(self.start))


def by_user(ratings: Ratings, places: Ints) -> Ints:
    """The places, by user, within a user in the order of a profile."""
    keys = (ratings.code, ratings.item, ratings.ts, ratings.user)
    return places[np.lexsort([key[places] for key in keys])]


def as_replayed(ratings: Ratings, places: Ints) -> Ints:
    """The places, by user, within a user in the order of a replay, in which each event finds those before it."""
    return places[np.lexsort((places, ratings.ts[places], ratings.user[places]))]


def sequences(ratings: Ratings, places: Ints) -> Sequences:
    """The events at `places`, by user, in the order of a profile."""
    return in_order(ratings, by_user(ratings, places))


def in_order(ratings: Ratings, order: Ints) -> Sequences:
    """The events at `order`, which is by user, and within a user by time."""
    user, first = np.unique(ratings.user[order], return_index=True)
    return Sequences(
        item=ratings.item[order],
        code=ratings.code[order],
        ts=ratings.ts[order],
        positive=ratings.positive[order],
        target=ratings.discoveries.among(order, np.arange(len(order))),
        start=np.append(first, len(order)).astype(np.int64),
        user=user,
    )


def shuffled(events: Sequences, rng: np.random.Generator) -> Sequences:
    """The same events with those of a user that share a second in random order; those of one item stay in their order.

    The order of profiles within a second is that of item ids, which tells nothing; a model that saw no other would
    learn it.
    """
    user, drawn = events.user_of_event(), rng.random(len(events))
    # In the order of a profile, events of one item within a second follow each other.
    again = np.zeros(len(events), dtype=bool)
    again[1:] = (np.diff(user) == 0) & (np.diff(events.ts) == 0) & (np.diff(events.item) == 0)
    drawn = drawn[np.maximum.accumulate(np.where(again, 0, np.arange(len(events))))]
    order = np.lexsort((drawn, events.ts, user))
    columns = {name: getattr(events, name)[order] for name in ("item", "code", "positive", "target")}
    return replace(events, **columns)


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
