"""Tolerant readers of stored values: what cannot be read is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from features import ItemCounter, Profile, Rated
from stores.errors import Unreadable
from stores.redis.packing import unpack_counter, unpack_profile, unpack_rated


def offset_of(stored: Any, key: str) -> int | None:
    """An offset from what is stored under a key; None where nothing is.

    Raises:
        Unreadable: if it is not an offset.
    """
    if stored is not None and readable_offset(stored) is None:
        raise Unreadable(f"{key} in Redis is not an offset ({stored!r}); restore Redis from a backup")
    return readable_offset(stored)


def readable_offset(stored: Any) -> int | None:
    """An offset from what is stored; None where nothing is, or no offset."""
    if not isinstance(stored, bytes) or not stored.removeprefix(b"-").isdigit() or len(stored) > 20:
        return None
    return int(stored)


def readable_users(
    userids: Sequence[int], profiles: Sequence[Any], seen: Sequence[Any]
) -> dict[int, tuple[Profile, dict[int, Rated]]]:
    """Profiles and seen filters from what is stored; without users that have none, or none that can be read."""
    users = {}
    for userid, packed, rated in zip(userids, profiles, seen, strict=True):
        if not packed and not rated:
            continue
        try:
            if isinstance(packed, Exception) or isinstance(rated, Exception):
                continue
            profile = unpack_profile(packed) if packed else Profile(userid)
            if profile.userid != userid:
                continue
            users[userid] = profile, {int(itemid): unpack_rated(value) for itemid, value in rated.items()}
        except (Unreadable, ValueError):
            continue
    return users


def readable_dead(packed: Any) -> dict[str, int]:
    """Dead letters by reason from what is stored; without counts that cannot be read."""
    counts = {}
    for reason, n in ({} if isinstance(packed, Exception) else packed).items():
        if n.isdigit():
            counts[reason.decode(errors="backslashreplace")] = int(n)
    return counts


def readable_counters(packed: Any) -> dict[int, ItemCounter]:
    """Counters of items from what is stored; without those that cannot be read."""
    counters = {}
    for itemid, value in ({} if isinstance(packed, Exception) else packed).items():
        try:
            counters[int(itemid)] = unpack_counter(value)
        except (Unreadable, ValueError):
            continue
    return counters


def readable_itemids(stored: Iterable[bytes]) -> list[int]:
    """Items from what is stored; without what is no item."""
    return [int(itemid) for itemid in stored if itemid.isdigit()]
