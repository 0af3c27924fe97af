"""All that a shard holds of users who are erased, read within the transaction that deletes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

from features import Id, ItemCounter, Rated, id_text
from stores.errors import Unreadable
from stores.redis.connection import answers, reachable
from stores.redis.packing import unpack_seen
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_counters, readable_id, readable_offset

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
    userids: Collection[Id]

    def events(self) -> dict[Id, list[Rated]]:
        """All that the seen filters of the users hold, by item.

        Raises:
            Unreachable: if a store does not answer.
        """
        userids = list(self.userids)
        tag, read = self.profiles.tag(self.shard), self.profiles.client.pipeline(transaction=False)
        for userid in userids:
            read.hgetall(f"{tag}:seen:{userid}")
            read.hget(f"{tag}:evicted", id_text(userid))
        stored = answers(read)
        filters = self.profiles.stored_users(userids, [None] * len(userids), stored[::2], stored[1::2])
        events: dict[Id, list[Rated]] = {}
        for _, seen in filters:
            self._add({} if isinstance(seen, Exception) else seen, events)
        return events

    def counters(self, itemids: Collection[Id]) -> dict[Id, ItemCounter]:
        """The shard's counters of items; without those that it has none of.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if not itemids:
            return {}
        names = [id_text(itemid).encode() for itemid in itemids]
        read = self.profiles.client.pipeline(transaction=False)
        read.hmget(f"{self.profiles.tag(self.shard)}:items", cast(Any, names))
        (packed,) = answers(read)
        if isinstance(packed, Exception):
            return {}
        known = {name: value for name, value in zip(names, packed, strict=True) if value is not None}
        return readable_counters(self.profiles.schema.item_ids, known)

    def others(self, itemids: Set[Id]) -> dict[Id, list[Rated]]:
        """The latest events of the shard's other users with some items. All keys of Redis are looked at.

        Raises:
            Unreachable: if a store does not answer.
        """
        events: dict[Id, list[Rated]] = {itemid: [] for itemid in itemids}
        names = [id_text(itemid).encode() for itemid in itemids]
        keys = self._seen_filters()
        for start in range(0, len(keys), SCANNED):
            read = self.profiles.client.pipeline(transaction=False)
            for key in keys[start : start + SCANNED]:
                read.hmget(cast(Any, key), cast(Any, names))
            for values in answers(read):
                self._add({} if isinstance(values, Exception) else dict(zip(names, values, strict=True)), events)
        self._add_evicted(names, events)
        return events

    def _seen_filters(self) -> list[bytes]:
        """Keys of the seen filters of the other users."""
        prefix = f"{self.profiles.tag(self.shard)}:seen:"
        with reachable():
            # SCAN may give a key twice.
            keys = {cast(bytes, key) for key in self.profiles.client.scan_iter(f"{prefix}*", count=SCANNED)}
        return sorted(keys - {f"{prefix}{userid}".encode() for userid in self.userids})

    def _add_evicted(self, names: Sequence[bytes], events: dict[Id, list[Rated]]) -> None:
        """Add the events of the other users whom Redis does not hold."""
        if self.profiles.evicted is None:
            return
        with reachable():
            stored = self.profiles.client.hgetall(f"{self.profiles.tag(self.shard)}:evicted")
        kind, marks = self.profiles.schema.user_ids, dict[Id, int]()
        for name, mark in cast("dict[bytes, bytes]", stored).items():
            userid, offset = readable_id(kind, name), readable_offset(mark)
            if userid is not None and offset is not None and userid not in self.userids:
                marks[userid] = offset
        userids = list(marks)
        for start in range(0, len(userids), SCANNED):
            some = {userid: marks[userid] for userid in userids[start : start + SCANNED]}
            for evicted in self.profiles.evicted.read(some).values():
                self._add({name: evicted.seen.get(name) for name in names}, events)

    def _add(self, seen: Mapping[bytes, bytes | None], events: dict[Id, list[Rated]]) -> None:
        """Add what can be read of a seen filter, by item."""
        schema = self.profiles.schema
        for name, packed in seen.items():
            itemid = readable_id(schema.item_ids, name)
            if packed is None or itemid is None:
                continue
            try:
                events.setdefault(itemid, []).extend(unpack_seen(schema.codes, packed))
            except Unreadable:
                continue
