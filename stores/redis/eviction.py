"""Evicting users of a shard from Redis into their file, and finding those who are inactive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import redis

from features import Id, id_text
from stores.errors import Unreadable
from stores.evicted import StoredUser
from stores.feast.online_rows import OnlineRows
from stores.redis.connection import answers, reachable
from stores.redis.packing import unpack_profile
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_offset

SCAN = 1000
"""Profiles looked at at once."""


def last_events(profiles: Profiles, shard: int) -> dict[Id, int]:
    """Time of the latest event of each user that a shard holds in Redis; without profiles that cannot be read.

    Raises:
        Unreachable: if Redis does not answer.
    """
    tag, schema, found = profiles.tag(shard), profiles.schema, dict[Id, int]()
    cursor = 0
    while True:
        with reachable():
            scanned = profiles.client.scan(cursor, match=f"{tag}:profile:*", count=SCAN)
            cursor, keys = cast("tuple[int, list[bytes]]", scanned)
            packed = cast("list[bytes | None]", profiles.client.mget(keys)) if keys else []
        for value in packed:
            try:
                if value is not None and (profile := unpack_profile(schema, value)).version:
                    found[profile.userid] = profile.last_ts
            except Unreadable:
                continue  # whoever folds the user's next event reports it
        if not cursor:
            return found


def evict(profiles: Profiles, rows: OnlineRows, shard: int, userids: Sequence[Id]) -> int:
    """Move users of a shard from Redis into their file; how many.

    The steps:

        1. read     the users, guarded against whoever folds into the shard meanwhile
        2. put      them into the file, which is on the disk then
        3. forget   in one transaction: the profiles and filters go, the marks come; refused if the shard has changed
        4. rows     of users who are still evicted go from Feast

    A crash after 2 leaves rows that no mark names, which the next eviction of the user replaces; one after 3 leaves
    feature rows, which take room and are overwritten once the user returns.

    Returns:
        The users that were evicted; 0 where the shard has changed meanwhile, or is closed.

    Raises:
        Unreachable: if Redis does not answer, or the file cannot be written.
    """
    tag, client = profiles.tag(shard), profiles.client
    if profiles.evicted is None:
        return 0
    write = client.pipeline(transaction=True)
    try:
        with reachable():
            write.watch(f"{tag}:applied", f"{tag}:closed")  # type: ignore[no-untyped-call]
        applied, users = _read(profiles, tag, userids)  # 1. read
        if applied is None or not users:
            return 0
        profiles.evicted.put(applied, users, profiles.schema.state_version)  # 2. put
        write.multi()
        for userid in users:
            write.delete(f"{tag}:profile:{userid}", f"{tag}:seen:{userid}")
        write.hset(f"{tag}:evicted", mapping=cast(Any, {id_text(userid): applied for userid in users}))
        write.set(f"{tag}:applied", applied)  # so that a fold that has begun is refused
        with reachable():
            write.execute()  # 3. forget
    except redis.WatchError:
        return 0
    finally:
        write.reset()
    _delete_rows(profiles, rows, tag, list(users))  # 4. rows
    return len(users)


def _read(profiles: Profiles, tag: str, userids: Sequence[Id]) -> tuple[int | None, dict[Id, StoredUser]]:
    """The offset of a shard, None if nobody may fold into it, and those of some users that can be evicted."""
    read = profiles.client.pipeline(transaction=True)
    read.get(f"{tag}:applied")
    read.exists(f"{tag}:closed")
    for userid in userids:
        read.get(f"{tag}:profile:{userid}")
        read.hgetall(f"{tag}:seen:{userid}")
    applied, closed, *stored = answers(read)
    users = {
        userid: StoredUser(packed, seen)
        for userid, packed, seen in zip(userids, stored[::2], stored[1::2], strict=True)
        if isinstance(packed, bytes) and isinstance(seen, dict)
    }
    return None if closed else readable_offset(applied), users


def _delete_rows(profiles: Profiles, rows: OnlineRows, tag: str, userids: Sequence[Id]) -> None:
    """Delete the feature rows of users, unless one of them has returned meanwhile, whose row is written again."""
    delete = profiles.client.pipeline(transaction=True)
    try:
        with reachable():
            delete.watch(f"{tag}:evicted")  # type: ignore[no-untyped-call]
        evicted = profiles.evicted_among(userids)
        if not evicted:
            return
        delete.multi()
        delete.delete(*(cast(Any, rows.key("userid", userid)) for userid in evicted))
        with reachable():
            delete.execute()
    except redis.WatchError:
        pass
    finally:
        delete.reset()
