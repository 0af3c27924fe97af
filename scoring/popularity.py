"""Popularity now, by a clock that the events set."""

from __future__ import annotations

import numpy as np

from features.schema import Ints
from scoring.order import Scores

FEWEST_PRESENT = 10
"""Fewest items whose latest events must be recent for the clock to follow."""

DAY = 86_400.0


def popularity(recent_likes: Ints, likes: Ints, last_ts: Ints, half_life_days: float) -> Scores:
    """The popularity of each item now.

    Likes of an item's last weeks, halved for each half-life between its latest event and now, plus a tenth of all its
    likes (HR@10 on validation events of MovieLens-1M: 0.052, with a thousandth 0.030). The events tell what is now (see
    `now_of`), so that replayed events of long ago have a recent past of their own.

    Args:
        recent_likes, likes: counters of the items, INT64 [..., items].
        last_ts: time of each item's latest event in unix seconds, 0 where there is none; INT64 [..., items].
        half_life_days: half-life in days of event time.

    Returns:
        FP64 [..., items].
    """
    age_days = np.maximum(now_of(last_ts) - last_ts, 0) / DAY
    now: Scores = recent_likes * 2.0 ** (-age_days / half_life_days) + likes / 10.0
    return now


def now_of(last_ts: Ints) -> Ints:
    """The present in event time: the k-th latest of the items' latest events, in unix seconds.

    k is 1 % of the items with events and at least 10, but at most a quarter of them. The latest event of all would let
    one event from the future, or one live event during a replay of the past, age every other item by years. With the
    k-th latest it takes events of k items to move the clock, and where that many are recent, they are the present. In a
    live stream of a thousand items the tenth latest is minutes old, against a half-life of weeks; items whose events
    are later than this clock have the age 0.

    Args:
        last_ts: latest event time of each item in unix seconds, INT64 [..., items]; 0 where it has none.

    Returns:
        INT64 [..., 1]; 0 where no item has events.

    >>> now_of(np.array([0, 100, 200, 300, 400, 2**32 - 1, 300, 200]))
    array([400])
    """
    rows = last_ts.reshape(-1, last_ts.shape[-1])
    return np.array([_now(row) for row in rows], dtype=np.int64).reshape(*last_ts.shape[:-1], 1)


def _now(last_ts: Ints) -> int:
    times = last_ts[last_ts > 0]
    if not len(times):
        return 0
    k = min(max(FEWEST_PRESENT, len(times) // 100), max(1, (len(times) + 3) // 4))
    return int(np.partition(times, len(times) - k)[len(times) - k])
