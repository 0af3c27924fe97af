"""The split into events that train the models, events that test them, and events that are replayed.

Within a user, time order is (ts, place in the files). On MovieLens-1M this rule for events that share a second, and no
other that was tried (item id, rating, either way up, or the file backwards), gives 35,492 liked online events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.dataset import LastEvents, PointInTime
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


def user_order(user: Ints, ts: Ints) -> Ints:
    """Places of all events by user, within a user by (ts, place in the files); INT64 [events]."""
    return np.lexsort((ts, user)).astype(np.int64, copy=False)


def split(ratings: Ratings, settings: DataSettings) -> Split:
    """Split each user's events by time, as the description of the data set says, else by `data.online_events`."""
    return split_events(ratings.user, ratings.ts, ratings.schema.dataset.split, settings)


def split_of_training(ratings: Ratings, settings: DataSettings) -> Split:
    """The split of the training events alone, of which the validation events are held out in place of the online ones.

    Models that are trained on it have seen none of the validation events, so that settings can be chosen on these. Test
    and online events are in no part.
    """
    parts = split(ratings, settings)
    order = parts.train[np.argsort(ratings.user[parts.train], kind="stable")]
    users, n = np.unique(ratings.user[order], return_counts=True)
    offline = np.bincount(ratings.user[parts.fit], minlength=ratings.users.size)[users]
    return _cut(order, n, offline, settings)


def split_events(user: Ints, ts: Ints, rule: LastEvents | PointInTime | None, settings: DataSettings) -> Split:
    """Split each user's events by time.

    A user's last events, or all from a point in time on, are online. Of the others the first `train_share`, rounded up,
    are train, of which the last VALIDATION, rounded up, are for validation (but none of a user's only training event).

    Args:
        user: number of each event's user, INT64 [events].
        ts: unix seconds, INT64 [events].
        rule: the split in the description of the data set; None: the last `online_events`.
        settings: `online_events` and `train_share`.
    """
    order = user_order(user, ts)
    _, first, n = np.unique(user[order], return_index=True, return_counts=True)
    if isinstance(rule, PointInTime):
        offline = np.add.reduceat(ts[order] < rule.at.timestamp(), first, dtype=np.int64) if len(order) else n
    else:
        offline = np.maximum(n - (settings.online_events if rule is None else rule.events), 0)
    return _cut(order, n, offline, settings)


def _cut(order: Ints, n: Ints, offline: Ints, settings: DataSettings) -> Split:
    """Cut events into parts.

    Args:
        order: places of the events by user, within a user in time order; INT64 [events].
        n, offline: of each user, events and those of them that are not held out; INT64 [users].
        settings: `train_share`.
    """
    # Rounded first: 0.8 * 5 in floating point may be a hair above 4.
    train = np.ceil(np.round(offline * settings.train_share, 9)).astype(np.int64)
    validation = np.minimum(np.ceil(np.round(train * VALIDATION, 9)).astype(np.int64), np.maximum(train - 1, 0))
    place = np.arange(len(order)) - np.repeat(np.cumsum(n) - n, n)
    bounds = [np.repeat(bound, n) for bound in (train - validation, train, offline)]
    part = sum((place >= bound).astype(np.int8) for bound in bounds)
    fit, held, test, online = (order[part == number] for number in range(4))
    return Split(fit, held, test, online)


def time_order(ratings: Ratings, places: Ints) -> Ints:
    """Events in the order in which they happened: (ts, user, place in the files); INT64, as many as `places`."""
    return places[np.lexsort((places, ratings.user[places], ratings.ts[places]))]


def online_events(ratings: Ratings, parts: Split) -> Ints:
    """Places of the online events in the order of their replay."""
    return time_order(ratings, parts.online)
