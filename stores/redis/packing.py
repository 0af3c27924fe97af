"""Profiles, item counters and users as bytes in Redis."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from itertools import chain
from typing import cast

import msgpack

from features import RECENT, ItemCounter, Profile, Rated, User
from features.catalogue import DECADES, GENRES, UNKNOWN
from stores.errors import Unreadable

UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
"""Raised where bytes are not what was packed."""

SEEN = struct.Struct(">IB")
"""A rating in a seen filter: its time and its stars."""
USER = struct.Struct(">bbb")
"""A user's attributes."""


def pack_profile(profile: Profile) -> bytes:
    """A profile as it is stored."""
    return cast(
        bytes,
        msgpack.packb(
            [
                profile.userid,
                profile.version,
                profile.n,
                profile.likes,
                profile.first_ts,
                profile.last_ts,
                profile.genre_n,
                profile.genre_likes,
                profile.decade_n,
                profile.decade_likes,
                profile.recent,
            ]
        ),
    )


def unpack_profile(packed: bytes) -> Profile:
    """A profile from what is stored.

    Raises:
        Unreadable: if it is not a profile.
    """
    try:
        profile = Profile(*msgpack.unpackb(packed))
        profile.recent = [(ts, itemid, rating) for ts, itemid, rating in profile.recent]
        lists = (profile.genre_n, profile.genre_likes, profile.decade_n, profile.decade_likes)
        numbers = [profile.userid, profile.version, profile.n, profile.likes, profile.first_ts, profile.last_ts]
        require_counts(numbers, *lists, *profile.recent)
        lengths = [len(column) for column in lists]
        right = lengths == [len(GENRES), len(GENRES), DECADES, DECADES] and len(profile.recent) <= RECENT
    except UNREADABLE as error:
        raise Unreadable("a stored profile is not one") from error
    if not right:
        raise Unreadable("a stored profile has other genres, other decades, or too many events")
    return profile


def pack_counter(counter: ItemCounter) -> bytes:
    """An item's counters as they are stored."""
    weeks = sorted((week, n, likes) for week, (n, likes) in counter.weeks.items())
    return cast(bytes, msgpack.packb([counter.version, counter.n, counter.likes, counter.last_ts, weeks]))


def unpack_counter(packed: bytes) -> ItemCounter:
    """An item's counters from what is stored.

    Raises:
        Unreadable: if it is not the counters of an item.
    """
    try:
        version, n, likes, last_ts, weeks = msgpack.unpackb(packed)
        counter = ItemCounter(version, n, likes, last_ts, {week: [events, liked] for week, events, liked in weeks})
        require_counts([version, n, likes, last_ts, *counter.weeks])
        # In a week, more ratings may have been replaced than given.
        array("q", chain.from_iterable(counter.weeks.values()))
    except UNREADABLE as error:
        raise Unreadable("stored counters are none") from error
    return counter


def unpack_user(userid: int, packed: bytes | None) -> User:
    """A user's attributes from what is stored.

    Raises:
        Unreadable: if it is not a user's attributes.
    """
    if not packed:
        return User(userid, UNKNOWN, UNKNOWN, UNKNOWN)
    try:
        return User(userid, *USER.unpack(packed))
    except struct.error as error:
        raise Unreadable("stored attributes of a user are none") from error


def unpack_rated(packed: bytes) -> Rated:
    """A rating of a seen filter from what is stored.

    Raises:
        Unreadable: if it is not a rating.
    """
    try:
        ts, rating = SEEN.unpack(packed)
    except struct.error as error:
        raise Unreadable("a stored rating is none") from error
    if not 1 <= rating <= 5:
        raise Unreadable("a stored rating is not from 1 to 5")
    return ts, rating


def require_counts(*numbers: Iterable[int]) -> None:
    """Raise TypeError or OverflowError unless all are whole numbers from 0 to 2**32 - 1, as every count and time is."""
    array("I", chain.from_iterable(numbers))
