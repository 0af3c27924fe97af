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
    {ratings-3}:dead           hash reason -> dead letters
    {ratings-3}:evicted        hash userid -> offset: users whose profile and filter are in a file (`stores.evicted`)
    {ratings-0}:publication    time of the last publication of items (see `stores.redis.publication_clock`)
    {ratings-3}:closed         set while nobody may fold into the shard: another generation is about to go live, or is

Those are the keys of the first generation of the state (see `stores.redis.generations`); those of the generation g2
begin with `g2:`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from features import ItemCounter, Profile, Rated, User
from stores.errors import Unreadable
from stores.evicted import EvictedUsers, StoredUser, read_marked
from stores.kafka.record import partition_of
from stores.redis.connection import Client, answers, reachable
from stores.redis.generations import FIRST, prefix_of
from stores.redis.log_start import BEGINNING, LogStart
from stores.redis.packing import SEEN, USER, pack_counter, pack_profile, unpack_counter, unpack_profile, unpack_user
from stores.redis.readable import (
    offset_of,
    readable_counters,
    readable_dead,
    readable_itemids,
    readable_offset,
    readable_users,
)
from stores.redis.shard_transaction import ShardTransaction

SHARD_KEYS = (
    *("applied", "log", "served", "users", "items", "dirty", "publishing", "dead", "evicted", "publication"),
    "closed",
)
"""Names of a shard's keys."""
USER_KEYS = ("profile", "seen")
"""Names of the keys that a shard has for each user."""

PIPELINE = 1000
"""Commands sent at once."""
RAISE = """
local held = redis.pcall('GET', KEYS[1])
local number = type(held) == 'string' and tonumber(held)
if not number or number < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""Sets a number that is greater than the one held, or where what is held is no number."""


class Profiles:
    """A generation of the state in Redis.

    Attributes:
        readable: False if it is of a version whose profiles this release cannot read (`EarlierProfiles`).

    Args:
        client: Redis.
        topic: name of the topic of the events.
        partitions: its partitions.
        generation: its name.
        evicted: its users that Redis does not hold; None where there can be none.
    """

    readable = True

    def __init__(
        self,
        client: Client,
        topic: str,
        partitions: int,
        generation: str = FIRST,
        evicted: EvictedUsers | None = None,
    ) -> None:
        self.client = client
        self.evicted = evicted
        self.topic = topic
        self.partitions = partitions
        self.generation = generation
        self._prefix = prefix_of(generation)

    def tag(self, shard: int) -> str:
        """The beginning of the keys of a shard, with its hash tag."""
        return f"{self._prefix}{{{self.topic}-{shard}}}"

    @property
    def pattern(self) -> str:
        """The pattern of the keys of all shards, as SCAN takes it."""
        return f"{self._prefix}{{{self.topic}-*}}:*"

    @property
    def closed_keys(self) -> list[str]:
        """The keys that say that the shards are closed."""
        return [f"{self.tag(shard)}:closed" for shard in range(self.partitions)]

    def close(self, seconds: float) -> None:
        """Let nobody fold into the shards for some seconds; what is being folded now is not committed.

        Raises:
            Unreachable: if Redis does not answer.
        """
        write = self.client.pipeline(transaction=False)
        for key in self.closed_keys:
            write.set(key, 1, px=int(1000 * seconds))
        with reachable():
            write.execute()

    def reopen(self) -> None:
        """Let events be folded into the shards again; raises Unreachable if Redis does not answer."""
        with reachable():
            self.client.delete(*self.closed_keys)

    def shard_of(self, userid: int) -> int:
        """The shard of a user."""
        return partition_of(userid, self.partitions)

    def begin(self, shard: int, pairs: Iterable[tuple[int, int]], userids: Collection[int] = ()) -> ShardTransaction:
        """Read what a batch of events touches, and the profiles of further users, guarded against other writers."""
        return ShardTransaction(self.client, self.tag(shard), pairs, self.evicted, userids)

    def profile(self, userid: int) -> tuple[Profile | None, list[int], int | None]:
        """A user's profile, rated items and the offset that its shard stands at (None before the snapshot).

        Raises:
            Unreadable: if the profile or the seen filter is not one that we wrote.
            Unreachable: if Redis does not answer.
        """
        tag = self.tag(self.shard_of(userid))
        read = self.client.pipeline(transaction=True)
        read.get(f"{tag}:profile:{userid}")
        read.hkeys(f"{tag}:seen:{userid}")
        read.get(f"{tag}:applied")
        read.hget(f"{tag}:evicted", str(userid))
        packed, seen, applied, mark = answers(read)
        ((packed, seen),) = self.stored_users([userid], [packed], [seen], [mark])
        if wrong := next((answer for answer in (packed, seen, applied) if isinstance(answer, Exception)), None):
            raise Unreadable(f"what is stored of user {userid} cannot be read ({wrong})")
        profile = self._unpack(packed) if packed else None
        if profile is not None and profile.userid != userid:
            raise Unreadable(f"under the key of user {userid} the profile of user {profile.userid} is stored")
        return profile, readable_itemids(seen), None if applied is None else int(applied)

    def _unpack(self, packed: bytes) -> Profile | None:
        """A user's profile from what is stored; raises Unreadable if it is none."""
        return unpack_profile(packed)

    def applied(self) -> list[int | None]:
        """Last offset folded into each shard; -1 for none, None before the snapshot.

        Raises:
            Unreadable: if one is not an offset. That is not taken for a shard without a snapshot, which would be
                written anew.
            Unreachable: if Redis does not answer.
        """
        return [offset_of(value, f"{self.tag(shard)}:applied") for shard, value in enumerate(self._get("applied"))]

    def readable_applied(self) -> list[int | None]:
        """The same, with None where it is not an offset."""
        return [readable_offset(value) for value in self._get("applied")]

    def visible_offsets(self) -> list[int | None]:
        """Last offset of each shard whose Feast rows are written; None before the first."""
        return [readable_offset(value) for value in self._get("served")]

    def _get(self, name: str) -> list[Any]:
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.get(f"{self.tag(shard)}:{name}")
        return answers(read)

    def visible_offset(self, shard: int) -> int:
        """Last offset of a shard whose Feast rows are written; -1 before the first."""
        read = self.client.pipeline(transaction=False)
        read.get(f"{self.tag(shard)}:served")
        offset = readable_offset(answers(read)[0])
        return -1 if offset is None else offset

    def set_visible_offsets(self, offsets: Mapping[int, int]) -> None:
        """Record for shards that the Feast rows of all events up to an offset are written; never decreases an offset.

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
        for of_shard in answers(read):
            for reason, n in readable_dead(of_shard).items():
                counts[reason] = counts.get(reason, 0) + n
        return counts

    def shard_counters(self, shard: int) -> dict[int, ItemCounter]:
        """A shard's part of the counters of all items that have any that can be read."""
        read = self.client.pipeline(transaction=False)
        read.hgetall(f"{self.tag(shard)}:items")
        (packed,) = answers(read)
        return readable_counters(packed)

    def counters(self, itemids: Sequence[int]) -> dict[int, list[ItemCounter]]:
        """Each shard's part of the counters of some items, at least one, that has any; without unreadable items."""
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.hmget(f"{self.tag(shard)}:items", [str(itemid) for itemid in itemids])
        counters: dict[int, list[ItemCounter]] = {itemid: [] for itemid in itemids}
        unreadable: set[int] = set()
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
        profiles: Mapping[int, Profile],
        seen: Mapping[int, Mapping[int, Rated]],
        counters: Mapping[int, ItemCounter],
        users: Iterable[User],
        start: LogStart = BEGINNING,
    ) -> None:
        """Write a whole shard as it stands before the events of the log that follow, and mark it ready for them.

        Args:
            start: where the events of the log begin that follow.

        Raises:
            Unreachable: if Redis does not answer.
        """
        tag = self.tag(shard)
        with reachable():
            pipe = self.client.pipeline(transaction=False)
            for userid, profile in profiles.items():
                pipe.set(f"{tag}:profile:{userid}", pack_profile(profile))
                filtered = {str(itemid): SEEN.pack(*rated) for itemid, rated in seen[userid].items()}
                pipe.hset(f"{tag}:seen:{userid}", mapping=cast(Any, filtered))
                if len(pipe) >= PIPELINE:
                    pipe.execute()
            for itemid, counter in counters.items():
                pipe.hset(f"{tag}:items", str(itemid), cast(Any, pack_counter(counter)))
            for user in users:
                packed = USER.pack(user.gender, user.age, user.occupation)
                pipe.hset(f"{tag}:users", str(user.userid), cast(Any, packed))
            for reason, n in start.dead.items():
                pipe.hset(f"{tag}:dead", reason, str(n))
            pipe.execute()
            if fields := start.fields():
                self.client.hset(f"{tag}:log", mapping=cast(Any, fields))
            self.client.setnx(f"{tag}:served", start.applied)
            self.client.setnx(f"{tag}:applied", start.applied)

    def read_users(self, userids: Sequence[int]) -> dict[int, tuple[Profile, dict[int, Rated]]]:
        """Profiles and seen filters of users; without those that have none, or none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            tag = self.tag(self.shard_of(userid))
            pipe.get(f"{tag}:profile:{userid}")
            pipe.hgetall(f"{tag}:seen:{userid}")
            pipe.hget(f"{tag}:evicted", str(userid))
        values = answers(pipe)
        stored = self.stored_users(userids, values[::3], values[1::3], values[2::3])
        return readable_users(userids, [packed for packed, _ in stored], [seen for _, seen in stored])

    def stored_users(
        self, userids: Sequence[int], packed: Sequence[Any], seen: Sequence[Any], marks: Sequence[Any]
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
        for userid, profile, ratings in zip(userids, packed, seen, strict=True):
            evicted = marked.get(userid)
            if isinstance(evicted, StoredUser):
                stored.append((evicted.profile, evicted.seen))
            else:
                stored.append((evicted or profile, ratings))
        return stored

    def evicted_among(self, userids: Sequence[int]) -> set[int]:
        """Users that Redis does not hold, among some; raises Unreachable if it does not answer."""
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            pipe.hexists(f"{self.tag(self.shard_of(userid))}:evicted", str(userid))
        return {userid for userid, marked in zip(userids, answers(pipe), strict=True) if marked is True}

    def attributes(self, userids: Sequence[int]) -> dict[int, User]:
        """Attributes of users.

        Raises:
            Unreadable: if some cannot be read.
            Unreachable: if Redis does not answer.
        """
        pipe = self.client.pipeline(transaction=False)
        for userid in userids:
            pipe.hget(f"{self.tag(self.shard_of(userid))}:users", str(userid))
        values = answers(pipe)
        if wrong := next((value for value in values if isinstance(value, Exception)), None):
            raise Unreadable(f"the attributes of users cannot be read ({wrong}); restore Redis from a backup")
        return {userid: unpack_user(userid, packed) for userid, packed in zip(userids, values, strict=True)}

    def attributed(self, shard: int) -> set[int]:
        """Users of a shard whose attributes are known.

        Raises:
            Unreachable: if Redis does not answer.
        """
        with reachable():
            userids = cast("list[bytes]", self.client.hkeys(f"{self.tag(shard)}:users"))
        return {int(userid) for userid in userids if userid.isdigit()}

    def userids(self) -> set[int]:
        """Users that have a profile or a seen filter.

        Raises:
            Unreachable: if Redis does not answer.
        """
        userids: set[int] = set()
        with reachable():
            for shard in range(self.partitions):
                for kind in ("profile", "seen"):
                    keys = self.client.scan_iter(match=f"{self.tag(shard)}:{kind}:*", count=1000)
                    ids = (key.rsplit(b":", 1)[1] for key in keys)
                    userids.update(int(userid) for userid in ids if userid.isdigit())
                marked = cast("list[bytes]", self.client.hkeys(f"{self.tag(shard)}:evicted"))
                userids.update(int(userid) for userid in marked if userid.isdigit())
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
