"""One batch's change of a shard, guarded against other writers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

import redis

from features import ItemCounter, Profile, Rated, User
from stores.errors import Closed, NotPublished, ShardLost, Unreadable
from stores.evicted import EvictedUsers, StoredUser, read_marked
from stores.kafka.record import Mark
from stores.redis.connection import Client, answers, reachable
from stores.redis.packing import (
    SEEN,
    pack_counter,
    pack_profile,
    unpack_counter,
    unpack_profile,
    unpack_rated,
    unpack_user,
)
from stores.redis.readable import offset_of

K = TypeVar("K")
T = TypeVar("T")


@dataclass
class Changes:
    """Changes that one batch of events makes in a shard.

    Attributes:
        profiles: changed profiles.
        rated: changed ratings of the seen filters, by (userid, itemid).
        counters: changed counters; those without a rating are deleted.
        dead: new dead letters, by reason.
        tail: the last record of the batch.
        erased: users of whom everything is deleted.
    """

    profiles: Mapping[int, Profile]
    rated: Mapping[tuple[int, int], Rated]
    counters: Mapping[int, ItemCounter]
    dead: Mapping[str, int]
    tail: Mark | None = None
    erased: Collection[int] = ()


@dataclass(frozen=True)
class ShardState:
    """The state of some users and items in a shard, all of one moment.

    Attributes:
        tag: the shard's hash tag.
        applied: offset of the last event folded into it.
        profiles: the profiles asked for, by userid; a new one where the user has none.
        users: their attributes.
        rated: what the seen filters hold of the pairs asked for; without the pairs that are not rated.
        counters: the shard's counters of the items asked for; new ones where the shard has none.
        unreadable_users: users whose profile or seen filter cannot be read.
        unreadable_items: items whose counters in the shard cannot be read.
        damaged: other values that cannot be read, in words; the fold goes on without them.
        evicted: users that Redis does not hold, as they were evicted.
    """

    tag: str
    applied: int
    profiles: Mapping[int, Profile]
    users: Mapping[int, User]
    rated: Mapping[tuple[int, int], Rated]
    counters: Mapping[int, ItemCounter]
    unreadable_users: frozenset[int]
    unreadable_items: frozenset[int]
    damaged: Sequence[str]
    evicted: Mapping[int, StoredUser] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        client: Client,
        tag: str,
        pairs: Iterable[tuple[int, int]],
        evicted: EvictedUsers | None = None,
        userids: Collection[int] = (),
    ) -> ShardState:
        """Read the state of pairs (userid, itemid), and the profiles of further users.

        Raises:
            Closed: if nobody may fold into the shard.
            NotPublished: if the shard has no snapshot.
            Unreadable: if the shard does not say how far it is folded.
            Unreachable: if Redis does not answer.
        """
        items_of: dict[int, list[int]] = {}
        for userid, itemid in pairs:
            items_of.setdefault(userid, []).append(itemid)
        userids = [*items_of, *(userid for userid in userids if userid not in items_of)]
        itemids = sorted({itemid for items in items_of.values() for itemid in items})
        # In one transaction, so that what is read is of one moment: inputs are logged before the guard is asked.
        read = client.pipeline(transaction=True)
        read.get(f"{tag}:applied")
        read.exists(f"{tag}:closed")
        if userids:
            read.mget([f"{tag}:profile:{userid}" for userid in userids])
            read.hmget(f"{tag}:users", [str(userid) for userid in userids])
            read.hmget(f"{tag}:items", [str(itemid) for itemid in itemids] or ["-"])
            read.hmget(f"{tag}:evicted", [str(userid) for userid in userids])
            for userid, items in items_of.items():
                read.hmget(f"{tag}:seen:{userid}", [str(itemid) for itemid in items])
        stored, closed, *answered = answers(read)
        if closed:
            raise Closed(f"shard {tag} is closed, because another generation of the state goes live")
        if stored is None:
            raise NotPublished("there is no snapshot yet; run `reelstream publish`")
        applied = offset_of(stored, f"{tag}:applied") or 0
        packed, attributes, counts, marks, *seen = answered or ([], [], [], [])
        marked = read_marked(evicted, userids, [mark for _, mark in _fields(userids, marks)])
        packed = [_stored_profile(marked.get(userid), value) for userid, value in _fields(userids, packed)]
        seen = [
            _stored_ratings(marked.get(userid), items, values)
            for (userid, items), values in zip(items_of.items(), seen, strict=True)
        ]
        profiles = _values(userids, packed, unpack_profile)
        users = {
            userid: _value(stored, partial(unpack_user, userid)) for userid, stored in _fields(userids, attributes)
        }
        counters = _values(itemids, counts[: len(itemids)] if isinstance(counts, list) else counts, unpack_counter)
        rated = {
            (userid, itemid): _value(stored, unpack_rated)
            for (userid, items), values in zip(items_of.items(), seen, strict=True)
            for itemid, stored in _fields(items, values)
            if stored is not None
        }
        return cls(
            tag,
            applied,
            {userid: value if isinstance(value, Profile) else Profile(userid) for userid, value in profiles.items()},
            {
                userid: value if isinstance(value, User) else unpack_user(userid, None)
                for userid, value in users.items()
            },
            {pair: value for pair, value in rated.items() if not isinstance(value, Unreadable)},
            {itemid: value if isinstance(value, ItemCounter) else ItemCounter() for itemid, value in counters.items()},
            _unreadable_users(client, tag, profiles, rated),
            frozenset(_unreadable(counters)),
            [f"attributes of user {userid} in {tag}: {users[userid]}" for userid in _unreadable(users)],
            {userid: stored for userid, stored in marked.items() if isinstance(stored, StoredUser)},
        )


def _stored_profile(marked: StoredUser | Unreadable | None, packed: Any) -> Any:
    """The packed profile of a user who may have been evicted."""
    return marked.profile if isinstance(marked, StoredUser) else marked or packed


def _stored_ratings(marked: StoredUser | Unreadable | None, items: Sequence[int], values: Any) -> Any:
    """The packed ratings of some items by a user who may have been evicted."""
    return [marked.seen.get(str(itemid).encode()) for itemid in items] if isinstance(marked, StoredUser) else values


def _unreadable_users(
    client: Client,
    tag: str,
    profiles: Mapping[int, Profile | Unreadable | None],
    rated: Mapping[tuple[int, int], Rated | Unreadable],
) -> frozenset[int]:
    """Users whose stored profile or seen filter cannot be read, or is not their own, or lacks the other of the two."""
    unreadable = {userid for userid, _ in _unreadable(rated)} | {*_unreadable(profiles)}
    unreadable |= {userid for userid, _ in rated if profiles[userid] is None}
    unreadable |= {
        userid for userid, profile in profiles.items() if isinstance(profile, Profile) and profile.userid != userid
    }
    # MGET does not distinguish users without a profile from those whose key holds another type.
    if without := [userid for userid, profile in profiles.items() if profile is None]:
        types = client.pipeline(transaction=False)
        for userid in without:
            types.type(f"{tag}:profile:{userid}")
        unreadable |= {userid for userid, kind in zip(without, answers(types), strict=True) if kind != b"none"}
    return frozenset(unreadable)


def _unreadable(values: Mapping[K, object]) -> list[K]:
    """The names of the values that cannot be read."""
    return [name for name, value in values.items() if isinstance(value, Unreadable)]


def _fields(names: Sequence[int], values: Any) -> Iterable[tuple[int, Any]]:
    """Each name with its value; with the error in place of all of them where the key holds another type."""
    return zip(names, [values] * len(names) if isinstance(values, Exception) else values, strict=True)


def _values(names: Sequence[int], packed: Any, unpack: Callable[[bytes], T]) -> dict[int, T | Unreadable | None]:
    """The stored values by name; None where there is none."""
    return {name: None if stored is None else _value(stored, unpack) for name, stored in _fields(names, packed)}


def _value(packed: Any, unpack: Callable[[bytes], T]) -> T | Unreadable:
    """Return the stored value, or the error if it cannot be read."""
    try:
        return Unreadable(str(packed)) if isinstance(packed, Exception) else unpack(packed)
    except Unreadable as error:
        return error


class ShardTransaction:
    """One guarded change of a shard: read in full when made, written in full or not at all by `commit`.

    Attributes:
        state: the state as it was read.
    """

    def __init__(
        self,
        client: Client,
        tag: str,
        pairs: Iterable[tuple[int, int]],
        evicted: EvictedUsers | None = None,
        userids: Collection[int] = (),
    ) -> None:
        """Read the state of the pairs (userid, itemid) and of further users; raises as `ShardState.read` does."""
        self._tag, self._client = tag, client
        with reachable():
            self._write = client.pipeline(transaction=True)
            self._write.watch(f"{tag}:applied", f"{tag}:closed")  # type: ignore[no-untyped-call]
            try:
                self.state = ShardState.read(client, tag, pairs, evicted, userids)
            except BaseException:
                self._write.reset()
                raise

    def commit(self, applied: int, changes: Changes) -> str | None:
        """Write the changes together with the offset of the last event in them.

        Returns:
            What was lost of them, where a key that is only written holds another type; None where nothing was.

        Raises:
            ShardLost: if another worker has changed the shard since it was read, or it was closed; nothing is written.
            Unreachable: if Redis does not answer; it may or may not have written.
        """
        tag, write = self._tag, self._write
        write.multi()
        self._write_users(changes)
        self._write_counters(changes)
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
        except redis.ResponseError as error:
            # The other commands of the transaction are done, `applied` among them: what is lost is what the error is
            # about, a count of dead letters or a mark that an item has changed.
            with reachable():
                if self._client.get(f"{tag}:applied") != str(applied).encode():
                    raise
            return f"a key of {tag} holds another type: {error}"
        finally:
            write.reset()
        return None

    def _write_users(self, changes: Changes) -> None:
        tag, write = self._tag, self._write
        seen: dict[int, dict[str, bytes]] = {}
        for (userid, itemid), (ts, rating) in changes.rated.items():
            seen.setdefault(userid, {})[str(itemid)] = SEEN.pack(ts, rating)
        if changes.profiles:
            write.mset(
                {f"{tag}:profile:{userid}": pack_profile(profile) for userid, profile in changes.profiles.items()}
            )
        for userid in self.state.evicted.keys() & changes.profiles.keys():
            if filtered := self.state.evicted[userid].seen:
                write.hset(f"{tag}:seen:{userid}", mapping=cast(Any, filtered))
            write.hdel(f"{tag}:evicted", str(userid))
        for userid, fields in seen.items():
            write.hset(f"{tag}:seen:{userid}", mapping=cast(Any, fields))
        if changes.erased:
            write.delete(*(f"{tag}:{kind}:{userid}" for userid in changes.erased for kind in ("profile", "seen")))
            for name in ("users", "evicted"):
                write.hdel(f"{tag}:{name}", *map(str, changes.erased))

    def _write_counters(self, changes: Changes) -> None:
        tag, write, counters = self._tag, self._write, changes.counters
        if packed := {str(itemid): pack_counter(counter) for itemid, counter in counters.items() if counter.n}:
            write.hset(f"{tag}:items", mapping=cast(Any, packed))
        if gone := [str(itemid) for itemid, counter in counters.items() if not counter.n]:
            write.hdel(f"{tag}:items", *gone)
        if counters:
            write.sadd(f"{tag}:dirty", *counters)

    def abandon(self) -> None:
        """Give the connection back without writing."""
        self._write.reset()
