"""Profiles, seen filters, attributes of users and item counters in Redis, by shard."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from features import Id, ItemCounter, Profile, Schema, Seen, User, id_text
from features.layer import Layer
from features.seen import hidden
from stores.errors import Unreadable
from stores.evicted import EvictedUsers, StoredUser, read_marked
from stores.redis.connection import Client, answers, reachable
from stores.redis.generations import FIRST
from stores.redis.log_start import BEGINNING, LogStart
from stores.redis.packed_changes import Waiting
from stores.redis.packing import (
    pack_counter,
    pack_profile,
    pack_seen,
    pack_user,
    unpack_counter,
    unpack_profile,
    unpack_seen,
    unpack_user,
)
from stores.redis.published import Published
from stores.redis.readable import readable_counters, readable_id, readable_ids, readable_users
from stores.redis.shard_catalogue import number_of, write_items, write_waiting
from stores.redis.shard_offsets import USER_KEYS, ShardOffsets
from stores.redis.shard_state import Wanted
from stores.redis.shard_transaction import ShardTransaction, Transaction

PIPELINE = 1000
"""Commands sent at once."""


class Profiles(ShardOffsets):
    """A generation of the state in Redis.

    Attributes:
        readable: False if it is of a version whose profiles this release cannot read (`EarlierProfiles`).

    Args:
        client: Redis.
        topic: name of the topic of the events.
        partitions: its partitions.
        generation: its name.
        evicted: its users that Redis does not hold; None where there can be none.
        schema: of its data set; None to read the one that is stored with it.
    """

    readable = True

    def __init__(
        self,
        client: Client,
        topic: str,
        partitions: int,
        generation: str = FIRST,
        evicted: EvictedUsers | None = None,
        schema: Schema | None = None,
    ) -> None:
        super().__init__(client, topic, partitions, generation)
        self.evicted = evicted
        self._schema = schema

    @property
    def schema(self) -> Schema:
        """The schema of the data set, read once.

        Raises:
            NotPublished: if there is no state yet.
            OtherVersion: if this release cannot read it.
            Unreachable: if Redis does not answer.
        """
        if self._schema is None:
            self._schema = Published(self.client, self.generation).schema()
        return self._schema

    def begin(self, shard: int, wanted: Wanted) -> ShardTransaction:
        """Read what a fold takes of a shard, guarded against other writers (see `ShardTransaction`)."""
        return ShardTransaction(self.client, self.schema, self.tag(shard), wanted, self.evicted)

    def begin_all(self, wanted: Mapping[int, Wanted]) -> Transaction:
        """Read what a fold takes of some shards, guarded against other writers (see `Transaction`)."""
        tags = {shard: self.tag(shard) for shard in wanted}
        return Transaction(self.client, self.schema, tags, wanted, self.evicted)

    def profile(self, userid: Id) -> tuple[Profile | None, dict[Id, bool], int | None, int]:
        """A user's profile, the items of the seen filter, and what its shard stands at.

        Returns:
            The profile, None where there is none; by item, whether lists leave it out; the offset of the shard, None
            before the snapshot; the number of its changes of items.

        Raises:
            Unreadable: if the profile or the seen filter is not one that we wrote.
            Unreachable: if Redis does not answer.
        """
        tag = self.tag(self.shard_of(userid))
        read = self.client.pipeline(transaction=True)
        read.get(f"{tag}:profile:{userid}")
        if self.schema.codes.all_hide:
            read.hkeys(f"{tag}:seen:{userid}")
        else:
            read.hgetall(f"{tag}:seen:{userid}")
        read.get(f"{tag}:applied")
        read.hget(f"{tag}:evicted", id_text(userid))
        read.get(f"{tag}:changes")
        packed, seen, applied, mark, changes = answers(read)
        ((packed, seen),) = self.stored_users([userid], [packed], [seen], [mark])
        if wrong := next((answer for answer in (packed, seen, applied) if isinstance(answer, Exception)), None):
            raise Unreadable(f"what is stored of user {userid} cannot be read ({wrong})")
        profile = self._unpack(packed) if packed else None
        if profile is not None and profile.userid != userid:
            raise Unreadable(f"under the key of user {userid} the profile of user {profile.userid} is stored")
        return (
            profile,
            self._seen(seen),
            None if applied is None else int(applied),
            number_of(changes, f"{tag}:changes"),
        )

    def _unpack(self, packed: bytes) -> Profile | None:
        """A user's profile from what is stored; raises Unreadable if it is none."""
        return unpack_profile(self.schema, packed)

    def _seen(self, stored: Collection[bytes]) -> dict[Id, bool]:
        """The items of a seen filter, of which the names are enough where every event hides its item."""
        kind = self.schema.item_ids
        if not isinstance(stored, Mapping) or self.schema.codes.all_hide:
            return dict.fromkeys(readable_ids(kind, stored), True)
        named = ((readable_id(kind, name), packed) for name, packed in stored.items())
        return {itemid: self._hides(packed) for itemid, packed in named if itemid is not None}

    def _hides(self, packed: bytes) -> bool:
        """True if an entry of a seen filter has an event that hides its item; raises Unreadable if it is none."""
        codes = self.schema.codes
        return hidden(codes, unpack_seen(codes, packed))

    def shard_counters(self, shard: int) -> dict[Id, ItemCounter]:
        """A shard's part of the counters of all items that have any that can be read."""
        read = self.client.pipeline(transaction=False)
        read.hgetall(f"{self.tag(shard)}:items")
        (packed,) = answers(read)
        return readable_counters(self.schema.item_ids, packed)

    def counters(self, itemids: Sequence[Id]) -> dict[Id, list[ItemCounter]]:
        """Each shard's part of the counters of some items, at least one, that has any; without unreadable items."""
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.hmget(f"{self.tag(shard)}:items", [id_text(itemid) for itemid in itemids])
        counters: dict[Id, list[ItemCounter]] = {itemid: [] for itemid in itemids}
        unreadable: set[Id] = set()
        for answer in answers(read):
            if isinstance(answer, Exception):
                return {}
            for itemid, value in zip(itemids, answer, strict=True):
                try:
                    if value is not None:
                        counters[itemid].append(unpack_counter(value))
                except Unreadable:
                    unreadable.add(itemid)
        return {itemid: partials for itemid, partials in counters.items() if itemid not in unreadable}

    def write_shard(
        self,
        shard: int,
        profiles: Mapping[Id, Profile],
        seen: Mapping[Id, Mapping[Id, Seen]],
        counters: Mapping[Id, ItemCounter],
        users: Iterable[User],
        start: LogStart = BEGINNING,
        layer: Layer | None = None,
        waiting: Mapping[Id, Sequence[Waiting]] = MappingProxyType({}),
    ) -> None:
        """Write a whole shard as it stands before the events of the log that follow, and mark it ready for them.

        Args:
            shard: the shard.
            profiles, seen: profiles and seen filters, by user.
            counters: its part of the counters, by item.
            users: whose attributes are known.
            start: where the events of the log begin that follow.
            layer: the items that were changed; None for none.
            waiting: the events that wait, by item.

        Raises:
            Unreachable: if Redis does not answer.
        """
        tag = self.tag(shard)
        with reachable():
            pipe = self.client.pipeline(transaction=False)
            for userid, profile in profiles.items():
                pipe.set(f"{tag}:profile:{userid}", pack_profile(profile))
                filtered = {id_text(itemid): pack_seen(events) for itemid, events in seen[userid].items()}
                pipe.hset(f"{tag}:seen:{userid}", mapping=cast(Any, filtered))
                if len(pipe) >= PIPELINE:
                    pipe.execute()
            for itemid, counter in counters.items():
                pipe.hset(f"{tag}:items", id_text(itemid), cast(Any, pack_counter(counter)))
            for user in users:
                pipe.hset(f"{tag}:users", id_text(user.userid), cast(Any, pack_user(self.schema, user)))
            for reason, n in start.dead.items():
                pipe.hset(f"{tag}:dead", reason, str(n))
            if layer is not None and layer.changed:
                write_items(pipe, tag, layer.changed)
                # A number that no state before had, so that nobody takes other items for these.
                pipe.set(f"{tag}:changes", time.time_ns() // 1000)
            if waiting:
                write_waiting(pipe, tag, waiting, sum(map(len, waiting.values())))
            pipe.execute()
            if fields := start.fields():
                self.client.hset(f"{tag}:log", mapping=cast(Any, fields))
            self.client.setnx(f"{tag}:served", start.applied)
            self.client.setnx(f"{tag}:applied", start.applied)

    def read_users(self, userids: Sequence[Id]) -> dict[Id, tuple[Profile, dict[Id, Seen]]]:
        """Profiles and seen filters of users; without those that have none, or none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            tag = self.tag(self.shard_of(userid))
            pipe.get(f"{tag}:profile:{userid}")
            pipe.hgetall(f"{tag}:seen:{userid}")
            pipe.hget(f"{tag}:evicted", id_text(userid))
        values = answers(pipe)
        stored = self.stored_users(userids, values[::3], values[1::3], values[2::3])
        return readable_users(self.schema, userids, [packed for packed, _ in stored], [seen for _, seen in stored])

    def stored_users(
        self, userids: Sequence[Id], packed: Sequence[Any], seen: Sequence[Any], marks: Sequence[Any]
    ) -> list[tuple[Any, Any]]:
        """Packed profiles and seen filters of users as Redis holds them, or as they were evicted.

        Args:
            userids: the users.
            packed, seen: what Redis holds of each.
            marks: of each, the mark of an eviction.

        Raises:
            Unreachable: if an evicted user cannot be read.
        """
        marked = read_marked(self.evicted, userids, marks)
        stored: list[tuple[Any, Any]] = []
        for userid, profile, filtered in zip(userids, packed, seen, strict=True):
            evicted = marked.get(userid)
            if isinstance(evicted, StoredUser):
                stored.append((evicted.profile, evicted.seen))
            else:
                stored.append((evicted or profile, filtered))
        return stored

    def evicted_among(self, userids: Sequence[Id]) -> set[Id]:
        """Users that Redis does not hold, among some; raises Unreachable if it does not answer."""
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            pipe.hexists(f"{self.tag(self.shard_of(userid))}:evicted", id_text(userid))
        return {userid for userid, marked in zip(userids, answers(pipe), strict=True) if marked is True}

    def attributes(self, userids: Sequence[Id]) -> dict[Id, User]:
        """Attributes of users.

        Raises:
            Unreadable: if some cannot be read.
            Unreachable: if Redis does not answer.
        """
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            pipe.hget(f"{self.tag(self.shard_of(userid))}:users", id_text(userid))
        values = answers(pipe)
        if wrong := next((value for value in values if isinstance(value, Exception)), None):
            raise Unreadable(f"the attributes of users cannot be read ({wrong}); restore Redis from a backup")
        return {
            userid: unpack_user(self.schema, userid, packed) for userid, packed in zip(userids, values, strict=True)
        }

    def attributed(self, shard: int) -> set[Id]:
        """Users of a shard whose attributes are known.

        Raises:
            Unreachable: if Redis does not answer.
        """
        with reachable():
            userids = cast("list[bytes]", self.client.hkeys(f"{self.tag(shard)}:users"))
        return {*readable_ids(self.schema.user_ids, userids)}

    def userids(self) -> set[Id]:
        """Users that have a profile or a seen filter.

        Raises:
            Unreachable: if Redis does not answer.
        """
        kind, userids = self.schema.user_ids, set[Id]()
        with reachable():
            for shard in range(self.partitions):
                for name in USER_KEYS:
                    prefix = f"{self.tag(shard)}:{name}:"
                    keys = cast("Iterable[bytes]", self.client.scan_iter(match=f"{prefix}*", count=1000))
                    userids.update(readable_ids(kind, (key.removeprefix(prefix.encode()) for key in keys)))
                marked = cast("list[bytes]", self.client.hkeys(f"{self.tag(shard)}:evicted"))
                userids.update(readable_ids(kind, marked))
        return userids

    def delete_all(self) -> None:
        """Delete the state of all shards; first their `applied`, without which no worker can write to them.

        There may be more of them than the settings say by now.

        Raises:
            Unreachable: if Redis does not answer.
        """
        with reachable():
            self.client.delete(*(f"{self.tag(shard)}:applied" for shard in range(self.partitions)))
            pipe = self.client.pipeline(transaction=False)
            for key in self.client.scan_iter(match=self.pattern, count=1000):
                pipe.delete(key)
                if len(pipe) >= PIPELINE:
                    pipe.execute()
            pipe.execute()
        if self.evicted is not None:
            self.evicted.delete_all()
