"""Profiles, item counters and users as bytes in Redis."""

from __future__ import annotations

import struct
from typing import cast

import msgpack

from features import ItemCounter, Profile, User
from features.catalogue import UNKNOWN

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
    """A profile from what is stored."""
    profile = Profile(*msgpack.unpackb(packed))
    profile.recent = [(ts, itemid, rating) for ts, itemid, rating in profile.recent]
    return profile


def pack_counter(counter: ItemCounter) -> bytes:
    """An item's counters as they are stored."""
    weeks = sorted((week, n, likes) for week, (n, likes) in counter.weeks.items())
    return cast(bytes, msgpack.packb([counter.version, counter.n, counter.likes, counter.last_ts, weeks]))


def unpack_counter(packed: bytes) -> ItemCounter:
    """An item's counters from what is stored."""
    version, n, likes, last_ts, weeks = msgpack.unpackb(packed)
    return ItemCounter(version, n, likes, last_ts, {week: [of, liked] for week, of, liked in weeks})


def unpack_user(userid: int, packed: bytes | None) -> User:
    """A user's attributes from what is stored."""
    return User(userid, *USER.unpack(packed)) if packed else User(userid, UNKNOWN, UNKNOWN, UNKNOWN)
