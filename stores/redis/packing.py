"""Profiles, item counters and users as bytes in Redis."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from dataclasses import fields
from itertools import chain
from operator import attrgetter
from typing import cast

import msgpack

from features import RECENT, ItemCounter, Profile, Rated, User
from features.catalogue import UNKNOWN
from stores.errors import Unreadable

UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
"""Raised where bytes are not what was packed."""

SEEN = struct.Struct(">IB")
"""A rating in a seen filter: its time and its stars."""
USER = struct.Struct(">bbb")
"""A user's attributes."""

_FIELDS = [field.name for field in fields(Profile)]
_EMPTY = Profile(0)
_LIST_FIELDS = [name for name in _FIELDS if name != "recent" and isinstance(getattr(_EMPTY, name), list)]
_LENGTHS = [len(getattr(_EMPTY, name)) for name in _LIST_FIELDS]
_values = attrgetter(*_FIELDS)
_lists = attrgetter(*_LIST_FIELDS)
_numbers = attrgetter(*(name for name in _FIELDS if name not in (*_LIST_FIELDS, "recent")))


def pack_profile(profile: Profile) -> bytes:
    """A profile as it is stored."""
    return cast(bytes, msgpack.packb(_values(profile)))


def unpack_profile(packed: bytes) -> Profile:
    """A profile from what is stored.

    Raises:
        Unreadable: if it is not a profile.
    """
    try:
        values = msgpack.unpackb(packed)
        profile = Profile(*values)
        profile.recent = [(ts, itemid, rating) for ts, itemid, rating in profile.recent]
        lists = _lists(profile)
        require_counts(_numbers(profile), *lists, *profile.recent)
        # A profile of fewer fields would take the defaults of those that it lacks.
        right = len(values) == len(_FIELDS) and [len(counts) for counts in lists] == _LENGTHS
    except UNREADABLE as error:
        raise Unreadable("a stored profile is not one") from error
    if not right or len(profile.recent) > RECENT:
        raise Unreadable("a stored profile has other fields, other genres, other decades, or too many events")
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
