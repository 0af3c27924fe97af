"""The split into events that train the models, events that test them, and events that are replayed.

Within a user, time order is (ts, place in ratings.dat). On MovieLens-1M this rule for events that share a second, and
no other that was tried (item id, rating, either way up, or the file backwards), gives 35,492 liked online events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.data.readers import Ints, Ratings
from settings import DataSettings

VALIDATION = 0.05
"""Share of each user's training events, the last ones, on which settings are chosen."""


@dataclass(frozen=True)
class Split:
    """Places in the ratings, INT64, each by user and within a user in time order.

    Attributes:
        fit: training events that the models learn from.
        validation: the training events after those, for choosing settings.
        test: the offline events after the training events.
        online: the last events, replayed through the running system.
    """

    fit: Ints
    validation: Ints
    test: Ints
    online: Ints

    @property
    def train(self) -> Ints:
        """Fit and validation events."""
        return np.concatenate([self.fit, self.validation])

    @property
    def offline(self) -> Ints:
        """All but the online events."""
        return np.concatenate([self.fit, self.validation, self.test])


def user_order(ratings: Ratings) -> Ints:
    """Places of all events by user, within a user by (ts, place in the file); INT64 [events]."""
    return np.lexsort((ratings.ts, ratings.userid)).astype(np.int64, copy=False)


def split(ratings: Ratings, settings: DataSettings) -> Split:
    """Split each user's events by time.

    The last `online_events` are online. Of the others the first `train_share`, rounded up, are train, of which the
    last VALIDATION, rounded up, are for validation (but none of a user's only training event).
    """
    order = user_order(ratings)
    _, first, n = np.unique(ratings.userid[order], return_index=True, return_counts=True)
    offline = np.maximum(n - settings.online_events, 0)
    # Rounded first: 0.8 * 5 in floating point may be a hair above 4.
    train = np.ceil(np.round(offline * settings.train_share, 9)).astype(np.int64)
    validation = np.minimum(np.ceil(np.round(train * VALIDATION, 9)).astype(np.int64), np.maximum(train - 1, 0))
    place = np.arange(len(order)) - np.repeat(first, n)
    bounds = [np.repeat(bound, n) for bound in (train - validation, train, offline)]
    part = sum((place >= bound).astype(np.int8) for bound in bounds)
    fit, held, test, online = (order[part == number] for number in range(4))
    return Split(fit, held, test, online)


def time_order(ratings: Ratings, places: Ints) -> Ints:
    """Events in the order in which they happened: (ts, userid, place in the file); INT64, as many as `places`."""
    return places[np.lexsort((places, ratings.userid[places], ratings.ts[places]))]


def online_events(ratings: Ratings, parts: Split) -> Ints:
    """Places of the online events in the order of their replay."""
    return time_order(ratings, parts.online)
