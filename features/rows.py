"""Feature rows: what the feature store holds of a user and of an item.

Whole numbers only, so that rows compare exactly.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from features.catalogue import GENRES, Item, User
from features.counters import ItemCounter
from features.event import LIKED
from features.profile import Profile

Value = int | list[int]
Row = dict[str, Value]

GENRE = len(GENRES)

USER_ATTRIBUTES = ("gender", "age", "occupation")
USER_NUMBERS = ("version", "n", "likes", "n10", "likes10", "n30", "likes30", "first_ts", "last_ts")
USER_LISTS = ("genre_n", "genre_likes", "genre_n30", "genre_likes30", "decade_n", "decade_likes")
USER_FEATURES = USER_ATTRIBUTES + USER_NUMBERS + USER_LISTS

ITEM_NUMBERS = ("version", "n", "likes", "recent_n", "recent_likes", "last_ts", "year")
ITEM_LISTS = ("genres",)
ITEM_FEATURES = ITEM_NUMBERS + ITEM_LISTS


def user_row(profile: Profile, user: User, genres_of: dict[int, tuple[int, ...]]) -> Row:
    """The features of a user as of the profile.

    Args:
        profile: the user's profile.
        user: the user's attributes.
        genres_of: genres of each item among the profile's last 30 events.
    """
    genre_n30 = [0] * GENRE
    genre_likes30 = [0] * GENRE
    likes30 = 0
    last30 = profile.recent[-30:]
    for _, itemid, rating in last30:
        liked = rating >= LIKED
        likes30 += liked
        for genre in genres_of[itemid]:
            genre_n30[genre] += 1
            genre_likes30[genre] += liked
    last10 = last30[-10:]
    return {
        "gender": user.gender,
        "age": user.age,
        "occupation": user.occupation,
        "version": profile.version,
        "n": profile.n,
        "likes": profile.likes,
        "n10": len(last10),
        "likes10": sum(rating >= LIKED for _, _, rating in last10),
        "n30": len(last30),
        "likes30": likes30,
        "first_ts": profile.first_ts,
        "last_ts": profile.last_ts,
        "genre_n": list(profile.genre_n),
        "genre_likes": list(profile.genre_likes),
        "genre_n30": genre_n30,
        "genre_likes30": genre_likes30,
        "decade_n": list(profile.decade_n),
        "decade_likes": list(profile.decade_likes),
    }


def item_row(counter: ItemCounter, item: Item) -> Row:
    """The features of an item as of its counters."""
    return {
        "version": counter.version,
        "n": counter.n,
        "likes": counter.likes,
        "recent_n": counter.recent_n,
        "recent_likes": counter.recent_likes,
        "last_ts": counter.last_ts,
        "year": item.year,
        "genres": list(item.genres),
    }


def row_time(row: Row) -> datetime:
    """The row's timestamp in the feature store: the newest event's second plus `version` microseconds.

    Feast on Redis drops a row whose timestamp is not later than the stored one, and events share seconds; both parts
    only grow, so that of two states of one row the later always wins.
    """
    last_ts, version = row["last_ts"], row["version"]
    assert isinstance(last_ts, int) and isinstance(version, int)
    return datetime.fromtimestamp(last_ts, UTC) + timedelta(microseconds=version)
