"""The features as they were before they were declared in a table, frozen: the declarations must give the same bits.

Nothing here is imported from `features.declarations` or computed by it. A feature that is changed on purpose is changed
here too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features import Item, Profile

COLUMNS = (
    *("user_log_n", "user_like_rate", "user_like_rate10", "user_like_rate30", "genre_affinity", "genre_exposure"),
    *("genre_affinity30", "genre_exposure30", "item_like_rate", "item_log_n", "item_year", "decade_affinity"),
    *("decade_exposure", "user_log_days", "genre:Action", "genre:Adventure", "genre:Animation", "genre:Children's"),
    *("genre:Comedy", "genre:Crime", "genre:Documentary", "genre:Drama", "genre:Fantasy", "genre:Film-Noir"),
    *("genre:Horror", "genre:Musical", "genre:Mystery", "genre:Romance", "genre:Sci-Fi", "genre:Thriller"),
    *("genre:War", "genre:Western"),
)
USER_ROW = (
    *("gender", "age", "occupation", "version", "n", "likes", "n10", "likes10", "n30", "likes30", "first_ts"),
    *("last_ts", "genre_n", "genre_likes", "genre_n30", "genre_likes30", "decade_n", "decade_likes"),
)
ITEM_ROW = ("n", "likes", "recent_n", "recent_likes", "last_ts", "year", "genres")


def dense(user: Mapping[str, np.ndarray], item: Mapping[str, np.ndarray]) -> np.ndarray:
    """The dense input; `user` and `item` as columns, `genres` as [N, 18] of 0 and 1."""
    genres = item["genres"].astype(np.float32)
    count = np.maximum(genres.sum(axis=1), 1.0)
    decade = np.clip((item["year"] - 1910) // 10, 0, 9)
    one_decade = np.eye(10, dtype=np.float32)[decade]
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
    out = np.empty((len(genres), 32), dtype=np.float32)
    for place, column in enumerate(columns):
        out[:, place] = column
    out[:, 14:] = genres
    return out


def user_row(profile: Profile, items: Mapping[int, Item]) -> dict[str, int | list[int]]:
    """The counts of a user."""
    genre_n30, genre_likes30, likes30 = [0] * 18, [0] * 18, 0
    last30 = profile.recent[-30:]
    for _, itemid, rating in last30:
        liked = rating >= 4
        likes30 += liked
        for genre in items[itemid].values[1]:
            genre_n30[genre] += 1
            genre_likes30[genre] += liked
    last10 = last30[-10:]
    genre_n, genre_likes, decade_n, decade_likes = profile.tallies
    return {
        "version": profile.version,
        "n": profile.n,
        "likes": profile.likes,
        "n10": len(last10),
        "likes10": sum(rating >= 4 for _, _, rating in last10),
        "n30": len(last30),
        "likes30": likes30,
        "first_ts": profile.first_ts,
        "last_ts": profile.last_ts,
        "genre_n": list(genre_n),
        "genre_likes": list(genre_likes),
        "genre_n30": genre_n30,
        "genre_likes30": genre_likes30,
        "decade_n": list(decade_n),
        "decade_likes": list(decade_likes),
    }


def _rate(likes, n):
    return (likes + 5.0 * 0.575) / (n + 5.0)


def _affinity(likes, n, hot, count):
    return (_rate(likes, n) * hot).sum(axis=1) / count
