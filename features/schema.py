"""The models' input: names and order of every column, used alike in training and in serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from features.catalogue import GENRES
from features.counts import ATTRIBUTES_OF_ITEMS
from features.declarations import TABLE
from features.event import LIKED
from features.profile import RECENT, Recent

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[np.integer]]
"""Feature rows as columns: name -> [rows] or, for a list, [rows, length]."""

_FEATURES = TABLE.features
_LISTS = tuple(attribute.name for attribute in ATTRIBUTES_OF_ITEMS if attribute.length > 1)

IDS = ("userid", "itemid", "gender", "age", "occupation")
"""Columns of the ranker's input `ids`, INT64 [N, 5]; -1 where an attribute is not known."""

DENSE = tuple(feature.name for feature in TABLE.features if len(feature.columns) == 1)
"""Features of one column, the first columns of the ranker's input `dense`."""

DENSE_COLUMNS = TABLE.columns
"""Columns of the ranker's input `dense`, FP32 [N, DENSE_COLUMNS]: DENSE, then 1 for each genre of the item."""

FEWEST_PRESENT = 10
"""Items at least whose latest events must be recent for the popularity's clock to follow."""


def dense(user: Columns, item: Columns) -> Floats:
    """The dense input of the ranker.

    Args:
        user: the counts of users, one row for each of N pairs; or a single row for all of them.
        item: the counts and attributes of items, N rows (see `features.columns.ItemTable`).

    Returns:
        FP32 [N, columns], named as in DENSE_COLUMNS.
    """
    item = {**item, **{name: item[name].astype(np.float32) for name in _LISTS}}
    inputs = {"user": user, "item": item}
    out = np.empty((len(item["n"]), len(DENSE_COLUMNS)), dtype=np.float32)
    place = 0
    for feature in _FEATURES:
        values = feature.formula(*[inputs[side][name] for side, name in feature.inputs])
        if len(feature.columns) == 1:
            out[:, place] = values
        else:
            out[:, place : place + len(feature.columns)] = values
        place += len(feature.columns)
    return out


def multi_hot(places: Sequence[Sequence[int]], length: int = len(GENRES)) -> npt.NDArray[np.int8]:
    """Lists of places, such as the genres of items, as [N, length] of 0 and 1."""
    out = np.zeros((len(places), length), dtype=np.int8)
    for row, of_item in enumerate(places):
        out[row, list(of_item)] = 1
    return out


def popularity(item: Columns, half_life_days: float) -> npt.NDArray[np.float64]:
    """How popular each item is now.

    Likes of an item's last weeks, halved for each half-life between its latest event and now, plus a tenth of all its
    likes (HR@10 on validation events of MovieLens-1M: 0.052, with a thousandth 0.030). Now is told by the events (see
    `now_of`), so that replayed events of the year 2000 have a recent past of their own.

    Args:
        item: item features as columns, N rows: `recent_likes`, `likes`, `last_ts`.
        half_life_days: half-life in days of event time.

    Returns:
        FP64 [N].
    """
    age_days = np.maximum(now_of(item["last_ts"]) - item["last_ts"], 0) / 86400.0
    now: npt.NDArray[np.float64] = item["recent_likes"] * 2.0 ** (-age_days / half_life_days) + item["likes"] / 10.0
    return now


def now_of(last_ts: npt.NDArray[np.integer]) -> int:
    """The present in event time: the k-th latest of the items' latest events, in unix seconds.

    k is 1 % of the rated items and at least 10, but at most a quarter of them. The latest event of all would let one
    event from the future, or one live rating during a replay of the past, age every other item by years. With k-th
    latest it takes events of k items to move the clock, and where that many are recent, they are the present. In a
    live stream of a thousand items the tenth latest is minutes old, against a half-life of weeks; items rated later
    than this clock have the age 0.

    Args:
        last_ts: latest event time of each item in unix seconds, [N]; 0 where an item is not rated.

    >>> now_of(np.array([0, 100, 200, 300, 400, 2**32 - 1, 300, 200]))
    400
    """
    rated = last_ts[last_ts > 0]
    if not len(rated):
        return 0
    k = min(max(FEWEST_PRESENT, len(rated) // 100), max(1, (len(rated) + 3) // 4))
    return int(np.partition(rated, len(rated) - k)[len(rated) - k])


def encoder_input(recent: Sequence[Recent], length: int = RECENT) -> tuple[Ints, Ints]:
    """The user encoder's inputs `items` and `liked` for one user, INT64 [1, length] each.

    The last `length` events, oldest first, then zeros; `liked` is 1 for a liked item. An item of 0 is padding.
    """
    items = np.zeros((1, length), dtype=np.int64)
    liked = np.zeros((1, length), dtype=np.int64)
    last = recent[-length:]
    if last:
        items[0, : len(last)] = [itemid for _, itemid, _ in last]
        liked[0, : len(last)] = [rating >= LIKED for _, _, rating in last]
    return items, liked


def rating_input(recent: Sequence[Recent], length: int = RECENT) -> Ints:
    """The ranker's input `rating` for one user, INT64 [1, length]: 1 to 5, as `encoder_input` orders events."""
    out = np.zeros((1, length), dtype=np.int64)
    last = recent[-length:]
    out[0, : len(last)] = [rating for _, _, rating in last]
    return out
