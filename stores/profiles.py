"""Profiles, seen filters, item counters and offsets in Redis, one hash tag a shard.

Keys of shard 3 of the topic `ratings` (a shard is a partition of the topic):

    {ratings-3}:applied        last offset folded in, -1 for none; absent before the snapshot
    {ratings-3}:log            hash: cluster and topic (ids) of the log that the state was folded from, tail
                               (offset:fingerprint of the last record folded), stopped (the reason why a worker
                               stopped), lost (JSON: runs of offsets that are passed over)
    {ratings-3}:served         last offset whose Feast rows are written too
    {ratings-3}:profile:<uid>  a profile
    {ratings-3}:seen:<uid>     hash itemid -> (ts, rating): the seen filter
    {ratings-3}:users          hash userid -> attributes
    {ratings-3}:items          hash itemid -> this shard's part of the item's counters
    {ratings-3}:dirty          items whose counters changed since they were last published
    {ratings-3}:publishing     items whose new counters are being published
    {ratings-3}:dead           hash reason -> dead events
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from features import ItemCounter, Profile, Rated, User
from stores.errors import NotPublished, ShardLost
from stores.events import partition_of
from stores.log_check import LogIdentity, Mark
from stores.packing import SEEN, USER, pack_counter, pack_profile, unpack_counter, unpack_profile, unpack_user
from stores.redis import Client, reachable

SHARD_KEYS = ("applied", "log", "served", "users", "items", "dirty", "publishing", "dead")
"""Names of a shard's keys."""
USER_KEYS = ("profile", "seen")
"""Names of the keys that a shard has for each user."""

PIPELINE = 1000
"""Commands sent at once."""
RAISE = """
local held = redis.call('GET', KEYS[1])
if not held or tonumber(held) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""Sets a number that is greater than the one held."""


@dataclass
class Changes:
    """What one batch of events changes in a shard; `tail` is its last record."""

    profiles: Mapping[int, Profile]
    rated: Mapping[tuple[int, int], Rated]
    counters: Mapping[int, ItemCounter]
    dead: Mapping[str, int]
    tail: Mark | None = None


class ShardTransaction:
    """One guarded change of a shard: read in full when made, written in full or not at all by `commit`.

    Attributes:
        applied: offset of the last event folded into the state as read.
        profiles: the profiles asked for, by userid; a new one where the user has none.
        users: their attributes.
        rated: what the seen filters hold of the pairs asked for; without the pairs that are not rated.
        counters: the shard's counters of the items asked for; a new one where the shard has none.
    """

    def __init__(self, client: Client, tag: str, pairs: Iterable[tuple[int, int]]) -> None:
        """Read the state of the pairs (userid, itemid).

        Raises:
            NotPublished: if the shard has no snapshot.
            Unreachable: if Redis does not answer.
        """
        self._tag = tag
        of_user: dict[int, list[int]] = {}
        for userid, itemid in pairs:
            of_user.setdefault(userid, []).append(itemid)
        userids = list(of_user)
        itemids = sorted({itemid for items in of_user.values() for itemid in items})
        with reachable():
            self._write = client.pipeline(transaction=True)
            self._write.watch(f"{tag}:applied")  # type: ignore[no-untyped-call]
            # In one transaction, so that what is read is of one moment: inputs are logged before the guard is asked.
            read = client.pipeline(transaction=True)
            read.get(f"{tag}:applied")
            if userids:
                read.mget([f"{tag}:profile:{userid}" for userid in userids])
                read.hmget(f"{tag}:users", [str(userid) for userid in userids])
                read.hmget(f"{tag}:items", [str(itemid) for itemid in itemids])
                for userid, items in of_user.items():
                    read.hmget(f"{tag}:seen:{userid}", [str(itemid) for itemid in items])
            try:
                applied, *state = read.execute()
            except BaseException:
                self._write.reset()
                raise
        if applied is None:
            self._write.reset()
            raise NotPublished("there is no snapshot yet; run `reelstream publish`")
        self.applied = int(applied)
        profiles, users, counters, *seen = state if state else ([], [], [])
        self.profiles = {
            userid: unpack_profile(packed) if packed else Profile(userid)
            for userid, packed in zip(userids, profiles, strict=True)
        }
        self.users = {userid: unpack_user(userid, packed) for userid, packed in zip(userids, users, strict=True)}
        self.counters = {
            itemid: unpack_counter(packed) if packed else ItemCounter()
            for itemid, packed in zip(itemids, counters, strict=True)
        }
        self.rated: dict[tuple[int, int], Rated] = {}
        for (userid, items), values in zip(of_user.items(), seen, strict=True):
            for itemid, packed in zip(items, values, strict=True):
                if packed:
                    self.rated[userid, itemid] = SEEN.unpack(packed)

    def commit(self, applied: int, changes: Changes) -> None:
        """Write the changes together with the offset of the last event in them.

        Raises:
            ShardLost: if another worker has changed the shard since it was read; nothing is written.
            Unreachable: if Redis does not answer; it may or may not have written.
        """
        tag, write = self._tag, self._write
        seen: dict[int, dict[str, bytes]] = {}
        for (userid, itemid), (ts, rating) in changes.rated.items():
            seen.setdefault(userid, {})[str(itemid)] = SEEN.pack(ts, rating)
        write.multi()
        if changes.profiles:
            write.mset({f"{tag}:profile:{userid}": pack_profile(each) for userid, each in changes.profiles.items()})
        for userid, fields in seen.items():
            write.hset(f"{tag}:seen:{userid}", mapping=cast(Any, fields))
        if changes.counters:
            packed = {str(itemid): pack_counter(counter) for itemid, counter in changes.counters.items()}
            write.hset(f"{tag}:items", mapping=cast(Any, packed))
            write.sadd(f"{tag}:dirty", *changes.counters)
        for reason, n in changes.dead.items():
            write.hincrby(f"{tag}:dead", reason, n)
        write.set(f"{tag}:applied", applied)
        if changes.tail is not None:
            write.hset(f"{tag}:log", "tail", str(changes.tail))
        try:
            with reachable():
                write.execute()
        except redis.WatchError:
            raise ShardLost(f"shard {tag} was changed by another worker; this one stops") from None
        finally:
            write.reset()

    def abandon(self) -> None:
        """Give the connection back without writing."""
        self._write.reset()


class Profiles:
    """The state in Redis.

    Args:
        client: Redis.
        topic: name of the topic of the events.
        partitions: its partitions.
    """

    def __init__(self, client: Client, topic: str, partitions: int) -> None:
        self.client = client
        self.topic = topic
        self.partitions = partitions

    def tag(self, shard: int) -> str:
        """The hash tag of a shard."""
        return f"{{{self.topic}-{shard}}}"

    def shard_of(self, userid: int) -> int:
        """The shard of a user."""
        return partition_of(userid, self.partitions)

    def begin(self, shard: int, pairs: Iterable[tuple[int, int]]) -> ShardTransaction:
        """Read what a batch of events touches, guarded against other writers."""
        return ShardTransaction(self.client, self.tag(shard), pairs)

    def profile(self, userid: int) -> tuple[Profile | None, list[int], int | None]:
        """A user's profile, rated items and the offset that its shard stands at (None before the snapshot)."""
        tag = self.tag(self.shard_of(userid))
        read = self.client.pipeline(transaction=True)
        read.get(f"{tag}:profile:{userid}")
        read.hkeys(f"{tag}:seen:{userid}")
        read.get(f"{tag}:applied")
        with reachable():
            packed, seen, applied = read.execute()
        profile = unpack_profile(packed) if packed else None
        return profile, [int(itemid) for itemid in seen], None if applied is None else int(applied)

    def applied(self) -> list[int | None]:
        """Last offset folded into each shard; -1 for none, None before the snapshot."""
        return self._positions("applied")

    def served(self) -> list[int | None]:
        """Last offset of each shard whose Feast rows are written; None before the first."""
        return self._positions("served")

    def _positions(self, name: str) -> list[int | None]:
        keys = [f"{self.tag(shard)}:{name}" for shard in range(self.partitions)]
        read = self.client.pipeline(transaction=False)
        for key in keys:
            read.get(key)
        with reachable():
            return [None if value is None else int(value) for value in read.execute()]

    def served_of(self, shard: int) -> int:
        """Last offset of a shard whose Feast rows are written; -1 before the first."""
        with reachable():
            value = cast("bytes | None", self.client.get(f"{self.tag(shard)}:served"))
        return -1 if value is None else int(value)

    def set_served(self, offsets: Mapping[int, int]) -> None:
        """Say of shards that the Feast rows of all events up to an offset are written; never takes back a later one.

        Raises:
            Unreachable: if Redis does not answer.
        """
        write = self.client.pipeline(transaction=False)
        for shard, offset in offsets.items():
            write.eval(RAISE, 1, f"{self.tag(shard)}:served", offset)
        with reachable():
            write.execute()

    def dead(self) -> dict[str, int]:
        """Dead events so far, by reason."""
        counts: dict[str, int] = {}
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.hgetall(f"{self.tag(shard)}:dead")
        with reachable():
            for of_shard in read.execute():
                for reason, n in of_shard.items():
                    counts[reason.decode()] = counts.get(reason.decode(), 0) + int(n)
        return counts

    def shard_counters(self, shard: int) -> dict[int, ItemCounter]:
        """A shard's part of the counters of all items that have any."""
        with reachable():
            packed = cast("dict[bytes, bytes]", self.client.hgetall(f"{self.tag(shard)}:items"))
        return {int(itemid): unpack_counter(value) for itemid, value in packed.items()}

    def counters(self, itemids: Sequence[int]) -> dict[int, list[ItemCounter]]:
        """Each shard's part of the counters of some items; at least one item."""
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.hmget(f"{self.tag(shard)}:items", [str(itemid) for itemid in itemids])
        with reachable():
            answers = read.execute()
        found: dict[int, list[ItemCounter]] = {}
        for answer in answers:
            for itemid, value in zip(itemids, answer, strict=True):
                if value is not None:
                    found.setdefault(itemid, []).append(unpack_counter(value))
        return found

    def write_shard(
        self,
        shard: int,
        profiles: Mapping[int, Profile],
        seen: Mapping[int, Mapping[int, Rated]],
        counters: Mapping[int, ItemCounter],
        users: Iterable[User],
        log: LogIdentity | None = None,
    ) -> None:
        """Write a whole shard as it stands before the first event of the log, and mark it ready for events.

        Args:
            log: the log whose events follow.

        Raises:
            Unreachable: if Redis does not answer.
        """
        tag = self.tag(shard)
        with reachable():
            pipe = self.client.pipeline(transaction=False)
            for userid, profile in profiles.items():
                pipe.set(f"{tag}:profile:{userid}", pack_profile(profile))
                fields = {str(itemid): SEEN.pack(*rated) for itemid, rated in seen[userid].items()}
                pipe.hset(f"{tag}:seen:{userid}", mapping=cast(Any, fields))
                if len(pipe) >= PIPELINE:
                    pipe.execute()
            for itemid, counter in counters.items():
                pipe.hset(f"{tag}:items", str(itemid), cast(Any, pack_counter(counter)))
            for user in users:
                packed = USER.pack(user.gender, user.age, user.occupation)
                pipe.hset(f"{tag}:users", str(user.userid), cast(Any, packed))
            pipe.execute()
            if log is not None:
                self.client.hset(f"{tag}:log", mapping={"cluster": log.cluster, "topic": log.topic})
            self.client.setnx(f"{tag}:applied", -1)

    def read_users(self, userids: Sequence[int]) -> dict[int, tuple[Profile, dict[int, Rated]]]:
        """Profiles and seen filters of users; without those that have none.

        Raises:
            Unreachable: if Redis does not answer.
        """
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            tag = self.tag(self.shard_of(userid))
            pipe.get(f"{tag}:profile:{userid}")
            pipe.hgetall(f"{tag}:seen:{userid}")
        with reachable():
            answers = pipe.execute()
        found = {}
        for userid, packed, seen in zip(userids, answers[::2], answers[1::2], strict=True):
            if packed or seen:
                profile = unpack_profile(packed) if packed else Profile(userid)
                found[userid] = profile, {int(itemid): SEEN.unpack(rated) for itemid, rated in seen.items()}
        return found

    def attributes(self, userids: Sequence[int]) -> dict[int, User]:
        """Attributes of users.

        Raises:
            Unreachable: if Redis does not answer.
        """
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            pipe.hget(f"{self.tag(self.shard_of(userid))}:users", str(userid))
        with reachable():
            answers = pipe.execute()
        return {userid: unpack_user(userid, packed) for userid, packed in zip(userids, answers, strict=True)}

    def userids(self) -> set[int]:
        """Users that have a profile or a seen filter.

        Raises:
            Unreachable: if Redis does not answer.
        """
        found: set[int] = set()
        with reachable():
            for shard in range(self.partitions):
                for kind in ("profile", "seen"):
                    keys = self.client.scan_iter(match=f"{self.tag(shard)}:{kind}:*", count=1000)
                    ids = (key.rsplit(b":", 1)[1] for key in keys)
                    found.update(int(userid) for userid in ids if userid.isdigit())
        return found

    def delete_all(self) -> None:
        """Delete the state of all shards; first their `applied`, without which no worker can write to them.

        Raises:
            Unreachable: if Redis does not answer.
        """
        with reachable():
            self.client.delete(*(f"{self.tag(shard)}:applied" for shard in range(self.partitions)))
            for shard in range(self.partitions):
                pipe = self.client.pipeline(transaction=False)
                for key in self.client.scan_iter(match=f"{self.tag(shard)}:*", count=1000):
                    pipe.delete(key)
                pipe.execute()

    def take_dirty(self) -> list[int]:
        """Items whose counters changed and are not yet published; `published` must follow once they are.

        They stay marked until then, so that a publisher that dies in between loses none.
        """
        found: set[int] = set()
        with reachable():
            for shard in range(self.partitions):
                tag = self.tag(shard)
                move = self.client.pipeline(transaction=True)
                move.sunionstore(f"{tag}:publishing", [f"{tag}:publishing", f"{tag}:dirty"])
                move.delete(f"{tag}:dirty")
                move.smembers(f"{tag}:publishing")
                found.update(int(itemid) for itemid in move.execute()[2])
        return sorted(found)

    def unpublished(self) -> int:
        """Items whose counters changed and are not yet published."""
        pipe = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            pipe.scard(f"{self.tag(shard)}:dirty")
            pipe.scard(f"{self.tag(shard)}:publishing")
        with reachable():
            return sum(pipe.execute())

    def published(self) -> None:
        """Say that the items of the last `take_dirty` are published."""
        pipe = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            pipe.delete(f"{self.tag(shard)}:publishing")
        with reachable():
            pipe.execute()
