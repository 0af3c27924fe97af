"""Profiles, item counters, users and the catalogue as bytes in Redis.

Profiles, counters, ratings and users carry no version of their own: that of the state (`features.version`) covers them.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from operator import attrgetter
from typing import Any, cast

import msgpack

from features import RECENT, Item, ItemCounter, Profile, Rated, User
from features.catalogue import UNKNOWN
from features.stored import FIRST_VERSION, require_version
from stores.errors import Unreadable

UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
"""Raised where bytes are not what was packed."""

SEEN = struct.Struct(">IB")
"""A rating in a seen filter: its time and its stars."""
USER = struct.Struct(">bbb")
"""A user's attributes."""

CATALOGUE_VERSION, OTHERS_VERSION = 1, 1
"""Versions of the layouts of the catalogue and of the counters of other shards."""

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
        profile, right = _checked(Profile(*values))
        # A profile of fewer fields would take the defaults of those that it lacks.
        right = right and len(values) == len(_FIELDS)
    except UNREADABLE as error:
        raise Unreadable("a stored profile is not one") from error
    if not right:
        raise Unreadable("a stored profile has other fields, other genres, other decades, or too many events")
    return profile


def unpack_earlier_profile(packed: bytes, names: Sequence[str]) -> Profile:
    """A profile of another version, to make lists of; a count that it lacks has its default.

    Args:
        packed: what is stored.
        names: the names of its fields.

    Raises:
        Unreadable: if it is not such a profile, or lacks the events.
    """
    try:
        values = dict(zip(names, msgpack.unpackb(packed), strict=True))
        known = {name: value for name, value in values.items() if name in _FIELDS}
        profile, right = _checked(Profile(**known))
        right = right and "recent" in known
    except UNREADABLE as error:
        raise Unreadable("a profile of another version is not one") from error
    if not right:
        raise Unreadable("a profile of another version has no events, other genres or other decades")
    return profile


def _checked(profile: Profile) -> tuple[Profile, bool]:
    """A profile whose values were unpacked, and whether its lists are as long as they must be.

    Raises:
        ValueError, TypeError, OverflowError: if a value is not of its kind.
    """
    profile.recent = [(ts, itemid, rating) for ts, itemid, rating in profile.recent]
    lists = _lists(profile)
    require_counts(_numbers(profile), *lists, *profile.recent)
    return profile, [len(counts) for counts in lists] == _LENGTHS and len(profile.recent) <= RECENT


def pack_counter(counter: ItemCounter) -> bytes:
    """An item's counters as they are stored."""
    weeks = sorted((week, n, likes) for week, (n, likes) in counter.weeks.items())
    return cast(bytes, msgpack.packb([counter.n, counter.likes, counter.last_ts, weeks]))


def unpack_counter(packed: bytes) -> ItemCounter:
    """An item's counters from what is stored.

    Raises:
        Unreadable: if it is not the counters of an item.
    """
    try:
        n, likes, last_ts, weeks = msgpack.unpackb(packed)
        counter = ItemCounter(n, likes, last_ts, {week: [events, liked] for week, events, liked in weeks})
        require_counts([n, likes, last_ts, *counter.weeks])
        # In a week, more ratings may have been replaced than given.
        array("q", chain.from_iterable(counter.weeks.values()))
    except UNREADABLE as error:
        raise Unreadable("stored counters are none") from error
    return counter


def unpack_first_counter(packed: bytes) -> ItemCounter:
    """An item's counters as they were stored while they counted their changes too, which came first.

    Raises:
        Unreadable: if it is not the counters of an item.
    """
    try:
        return unpack_counter(cast(bytes, msgpack.packb(msgpack.unpackb(packed)[1:])))
    except UNREADABLE as error:
        raise Unreadable("stored counters are none") from error


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


def pack_catalogue(items: Iterable[Item]) -> bytes:
    """The items as they are stored."""
    return _pack_rows(CATALOGUE_VERSION, [(item.itemid, item.title, item.year, item.genres) for item in items])


def unpack_catalogue(packed: bytes) -> dict[int, Item]:
    """The items by id, from what is stored.

    Raises:
        VersionError: if it has another version.
    """
    rows = _unpack_rows(CATALOGUE_VERSION, packed)
    return {itemid: Item(itemid, title, year, tuple(genres)) for itemid, title, year, genres in rows}


def pack_others(counters: Mapping[int, tuple[int, int]]) -> bytes:
    """(ratings, likes) of each item in other shards, as they are stored."""
    return _pack_rows(OTHERS_VERSION, [(itemid, n, likes) for itemid, (n, likes) in counters.items()])


def unpack_others(packed: bytes) -> dict[int, tuple[int, int]]:
    """(ratings, likes) of each item in other shards, from what is stored.

    Raises:
        VersionError: if it has another version.
    """
    return {itemid: (n, likes) for itemid, n, likes in _unpack_rows(OTHERS_VERSION, packed)}


def _pack_rows(version: int, rows: list[Any]) -> bytes:
    return cast(bytes, msgpack.packb({"schema_version": version, "rows": rows}))


def _unpack_rows(version: int, packed: bytes) -> Any:
    """The rows of a table. The first version was packed by itself."""
    stored = msgpack.unpackb(packed)
    if isinstance(stored, list):
        stored = {"schema_version": FIRST_VERSION, "rows": stored}
    require_version(stored["schema_version"], version)
    return stored["rows"]


def require_counts(*numbers: Iterable[int]) -> None:
    """Raise TypeError or OverflowError unless all are whole numbers from 0 to 2**32 - 1, as every count and time is."""
    array("I", chain.from_iterable(numbers))
