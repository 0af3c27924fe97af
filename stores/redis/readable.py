"""Tolerant readers of stored values: what cannot be read is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from features import EventError, Id, IdKind, ItemCounter, Profile, Schema, Seen
from stores.errors import Unreadable
from stores.redis.packing import unpack_counter, unpack_profile, unpack_seen


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


def readable_id(kind: IdKind, stored: bytes) -> Id | None:
    """An id from a key or a field; None from what is none.

    >>> readable_id(IdKind.INTEGER, b"7"), readable_id(IdKind.INTEGER, b"07"), readable_id(IdKind.STRING, b"07")
    (7, None, '07')
    """
    try:
        return kind.parse(stored.decode(), "an id")
    except (EventError, UnicodeDecodeError):
        return None


def readable_ids(kind: IdKind, stored: Iterable[bytes]) -> list[Id]:
    """Ids from what is stored; without what is none."""
    if kind is IdKind.INTEGER:
        return [int(name) for name in stored if name.isdigit()]
    return [known for name in stored if (known := readable_id(kind, name)) is not None]


def readable_seen(schema: Schema, stored: Mapping[bytes, bytes]) -> dict[Id, Seen]:
    """A seen filter from what is stored.

    Raises:
        EventError, UnicodeDecodeError: if one of its items is none.
        Unreadable: if an entry is none.
    """
    parse, codes = schema.item_ids.parse, schema.codes
    return {parse(itemid.decode(), "itemid"): unpack_seen(codes, packed) for itemid, packed in stored.items()}


def readable_users(
    schema: Schema, userids: Sequence[Id], profiles: Sequence[Any], seen: Sequence[Any]
) -> dict[Id, tuple[Profile, dict[Id, Seen]]]:
    """Profiles and seen filters from what is stored; without users that have none, or none that can be read."""
    users: dict[Id, tuple[Profile, dict[Id, Seen]]] = {}
    for userid, packed, stored in zip(userids, profiles, seen, strict=True):
        if not packed and not stored:
            continue
        try:
            if isinstance(packed, Exception) or isinstance(stored, Exception):
                continue
            profile = unpack_profile(schema, packed) if packed else schema.profile(userid)
            if profile.userid != userid:
                continue
            users[userid] = profile, readable_seen(schema, stored)
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


def readable_counters(kind: IdKind, packed: Any) -> dict[Id, ItemCounter]:
    """Counters of items from what is stored; without those that cannot be read."""
    counters: dict[Id, ItemCounter] = {}
    for name, value in ({} if isinstance(packed, Exception) else packed).items():
        itemid = readable_id(kind, name)
        try:
            if itemid is not None:
                counters[itemid] = unpack_counter(value)
        except (Unreadable, ValueError):
            continue
    return counters
