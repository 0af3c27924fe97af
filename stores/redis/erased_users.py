"""All that a shard holds of users who are erased, read within the transaction that deletes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

from features import ItemCounter, Rated
from stores.errors import Unreadable
from stores.redis.connection import answers, reachable
from stores.redis.packing import unpack_rated
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_counters, readable_offset

SCANNED = 1000
"""Keys that Redis looks at before it answers others, and users that are read at once."""


@dataclass(frozen=True)
class ErasedUsers:
    """Users of a shard who are erased, and what is left to count without them.

    A value that cannot be read is left out: nobody knows as what it was counted. Evicted users are read like others.

    Args:
        profiles: the generation of the state.
        shard: the shard.
        userids: the users.
    """

    profiles: Profiles
    shard: int
    userids: Collection[int]

    def ratings(self) -> dict[int, list[Rated]]:
        """All ratings of the users, by item.

        Raises:
            Unreachable: if a store does not answer.
        """
        userids = list(self.userids)
        tag, read = self.profiles.tag(self.shard), self.profiles.client.pipeline(transaction=False)
        for userid in userids:
            read.hgetall(f"{tag}:seen:{userid}")
            read.hget(f"{tag}:evicted", str(userid))
        stored = answers(read)
        filters = self.profiles.stored_users(userids, [None] * len(userids), stored[::2], stored[1::2])
        ratings: dict[int, list[Rated]] = {}
        for _, seen in filters:
            _add({} if isinstance(seen, Exception) else seen, ratings)
        return ratings

    def counters(self, itemids: Collection[int]) -> dict[int, ItemCounter]:
        """The shard's counters of items; without those that it has none of.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if not itemids:
            return {}
        names = [str(itemid).encode() for itemid in itemids]
        read = self.profiles.client.pipeline(transaction=False)
        read.hmget(f"{self.profiles.tag(self.shard)}:items", cast(Any, names))
        (packed,) = answers(read)
        if isinstance(packed, Exception):
            return {}
        return readable_counters({name: value for name, value in zip(names, packed, strict=True) if value is not None})

    def others(self, itemids: Set[int]) -> dict[int, list[Rated]]:
        """The ratings of items by the shard's other users. All keys of Redis are looked at.

        Raises:
            Unreachable: if a store does not answer.
        """
        ratings: dict[int, list[Rated]] = {itemid: [] for itemid in itemids}
        names = [str(itemid) for itemid in sorted(itemids)]
        keys = self._seen_filters()
        for start in range(0, len(keys), SCANNED):
            read = self.profiles.client.pipeline(transaction=False)
            for key in keys[start : start + SCANNED]:
                read.hmget(key, names)
            for rated in answers(read):
                _add({} if isinstance(rated, Exception) else _by_name(names, rated), ratings)
        self._add_evicted(names, ratings)
        return ratings

    def _seen_filters(self) -> list[str]:
        """Keys of the seen filters of the other users."""
        prefix = f"{self.profiles.tag(self.shard)}:seen:"
        with reachable():
            # SCAN may give a key twice.
            keys = {key.decode("latin-1") for key in self.profiles.client.scan_iter(f"{prefix}*", count=SCANNED)}
        return sorted(keys - {f"{prefix}{userid}" for userid in self.userids})

    def _add_evicted(self, names: Sequence[str], ratings: dict[int, list[Rated]]) -> None:
        """Add the ratings of the other users whom Redis does not hold."""
        if self.profiles.evicted is None:
            return
        with reachable():
            stored = self.profiles.client.hgetall(f"{self.profiles.tag(self.shard)}:evicted")
        marks = {
            int(userid): offset
            for userid, mark in cast("dict[bytes, bytes]", stored).items()
            if userid.isdigit() and int(userid) not in self.userids and (offset := readable_offset(mark)) is not None
        }
        userids = sorted(marks)
        for start in range(0, len(userids), SCANNED):
            some = {userid: marks[userid] for userid in userids[start : start + SCANNED]}
            for evicted in self.profiles.evicted.read(some).values():
                wanted = {name.encode(): evicted.seen.get(name.encode()) for name in names}
                _add(wanted, ratings)


def _by_name(names: Sequence[str], values: Iterable[bytes | None]) -> dict[bytes, bytes | None]:
    """Values by the names of their items."""
    return {name.encode(): value for name, value in zip(names, values, strict=True)}


def _add(seen: Mapping[bytes, bytes | None], ratings: dict[int, list[Rated]]) -> None:
    """Add the ratings of a seen filter that can be read, by item."""
    for itemid, packed in seen.items():
        if packed is None or not itemid.isdigit():
            continue
        try:
            ratings.setdefault(int(itemid), []).append(unpack_rated(packed))
        except Unreadable:
            continue
