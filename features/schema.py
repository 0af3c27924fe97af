"""The models' input: names, order and formula of every column, used alike in training and in serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from features.catalogue import DECADES, FIRST_DECADE, GENRES
from features.event import LIKED
from features.profile import RECENT, Recent

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[np.integer]]
"""Feature rows as columns: name -> [rows] or, for a list, [rows, length]."""

IDS = ("userid", "itemid", "gender", "age", "occupation")
"""Columns of the ranker's input `ids`, INT64 [N, 5]; -1 where an attribute is not known."""

DENSE = (
    "user_log_n",
    "user_like_rate",
    "user_like_rate10",
    "user_like_rate30",
    "genre_affinity",
    "genre_exposure",
    "genre_affinity30",
    "genre_exposure30",
    "item_like_rate",
    "item_log_n",
    "item_year",
    "decade_affinity",
    "decade_exposure",
    "user_log_days",
)
"""Dense features, the first columns of the ranker's input `dense`."""

DENSE_COLUMNS = DENSE + tuple(f"genre:{name}" for name in GENRES)
"""Columns of the ranker's input `dense`, FP32 [N, 32]: DENSE, then 1 for each genre of the item."""

PRIOR = 0.575
"""Share of likes among all ratings, towards which rates of few events are drawn."""

FEWEST_PRESENT = 10
"""Items at least whose latest events must be recent for the popularity's clock to follow."""

SHRINK = 5.0
"""Events that the prior weighs."""


def dense(user: Columns, item: Columns) -> Floats:
    """The dense input of the ranker.

    Args:
        user: user features, one row for each of N pairs; or a single row for all of them.
        item: item features as columns, N rows; `genres` as [N, 18] of 0 and 1.

    Returns:
        FP32 [N, 32], columns as in DENSE_COLUMNS.
    """
    genres = item["genres"].astype(np.float32)
    count = np.maximum(genres.sum(axis=1), 1.0)
    decade = np.clip((item["year"] - FIRST_DECADE) // 10, 0, DECADES - 1)
    one_decade = np.eye(DECADES, dtype=np.float32)[decade]
    events = np.maximum(user["n"], 1)
    events30 = np.maximum(user["n30"], 1)
    columns = [
        np.log1p(user["n"]),
        _rate(user["likes"], user["n"]),
        _rate(user["likes10"], user["n10"]),
        _rate(user["likes30"], user["n30"]),
        _affinity(user["genre_likes"], user["genre_n"], genres, count),
        (user["genre_n"] * genres).sum(axis=1) / count / events,
        _affinity(user["genre_likes30"], user["genre_n30"], genres, count),
        (user["genre_n30"] * genres).sum(axis=1) / count / events30,
        _rate(item["likes"], item["n"]),
        np.log1p(item["n"]),
        (item["year"] - 1980) / 20.0,
        _affinity(user["decade_likes"], user["decade_n"], one_decade, np.float32(1.0)),
        (user["decade_n"] * one_decade).sum(axis=1) / events,
        np.log1p((user["last_ts"] - user["first_ts"]) / 86400.0),
    ]
    out = np.empty((len(genres), len(DENSE_COLUMNS)), dtype=np.float32)
    for place, column in enumerate(columns):
        out[:, place] = column
    out[:, len(DENSE) :] = genres
    return out


def multi_hot(genres: Sequence[Sequence[int]]) -> npt.NDArray[np.int8]:
    """Genres as [N, 18] of 0 and 1."""
    out = np.zeros((len(genres), len(GENRES)), dtype=np.int8)
    for row, of_item in enumerate(genres):
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


def _rate(likes: npt.NDArray[np.integer], n: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    return (likes + SHRINK * PRIOR) / (n + SHRINK)


def _affinity(
    likes: npt.NDArray[np.integer], n: npt.NDArray[np.integer], hot: Floats, count: Floats | np.float32
) -> npt.NDArray[np.floating]:
    """Mean over the item's genres (or decade) of the user's like rate in it."""
    mean: npt.NDArray[np.floating] = (_rate(likes, n) * hot).sum(axis=1) / count
    return mean
