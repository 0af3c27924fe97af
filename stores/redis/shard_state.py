"""The state of some users and items of a shard at one moment, as a fold needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from redis.client import Pipeline

from features import Id, ItemCounter, Profile, Schema, Seen, User, id_text
from stores.errors import Closed, NotPublished, StoreError, Unreadable
from stores.evicted import EvictedUsers, StoredUser, read_marked
from stores.redis.connection import Client, answers
from stores.redis.packed_changes import Waiting, unpack_waiting
from stores.redis.packing import unpack_counter, unpack_profile, unpack_seen, unpack_user
from stores.redis.readable import offset_of
from stores.redis.shard_catalogue import number_of

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a shard's state that a fold takes.

    Attributes:
        pairs: pairs (userid, itemid) of events: the users' profiles, the items' counters, and what the seen filters
            hold of the pairs.
        userids: further users, whose profiles are read.
        awaited: items that events may have to wait for: the events that wait for them.
        brought: items that a change may bring: the events that wait for them, and the state that folding these takes.
    """

    pairs: Collection[tuple[Id, Id]] = ()
    userids: Collection[Id] = ()
    awaited: Collection[Id] = ()
    brought: Collection[Id] = ()


@dataclass(frozen=True)
class ShardState:
    """The state of some users and items in a shard, all of one moment.

    Attributes:
        tag: the shard's hash tag.
        applied: offset of the last event folded into it.
        profiles: the profiles asked for, by userid; a new one where the user has none.
        users: their attributes.
        rated: what the seen filters hold of the pairs asked for; without pairs of which nothing is known.
        counters: the shard's counters of the items asked for; new ones where the shard has none.
        unreadable_users: users whose profile or seen filter cannot be read.
        unreadable_items: items whose counters in the shard cannot be read.
        damaged: other values that cannot be read, in words; the fold goes on without them.
        evicted: users that Redis does not hold, as they were evicted.
        changes: number of changes of items that became current in the shard.
        waits: number of events that wait in the shard.
        waiting: the events that wait for the items asked for.
        unwritten: where items may be brought, the users whose rows the last change of items may have left unwritten.
    """

    tag: str
    applied: int
    profiles: Mapping[Id, Profile]
    users: Mapping[Id, User]
    rated: Mapping[tuple[Id, Id], Seen]
    counters: Mapping[Id, ItemCounter]
    unreadable_users: frozenset[Id]
    unreadable_items: frozenset[Id]
    damaged: Sequence[str]
    evicted: Mapping[Id, StoredUser] = field(default_factory=dict)
    changes: int = 0
    waits: int = 0
    waiting: Mapping[Id, Sequence[Waiting]] = field(default_factory=dict)
    unwritten: frozenset[Id] = frozenset()

    @classmethod
    def read(
        cls, client: Client, schema: Schema, wanted: Mapping[str, Wanted], evicted: EvictedUsers | None = None
    ) -> tuple[dict[str, ShardState], dict[str, StoreError]]:
        """Read what is wanted of some shards at once, but for what waits for the items that are brought.

        Args:
            client: Redis.
            schema: of the data set.
            wanted: by the shard's hash tag.
            evicted: the users that Redis does not hold.

        Returns:
            The states by tag; and by tag of the other shards `Closed` if nobody may fold into it, `Unreadable` if it
            does not say how far it is folded, or how often its items changed.

        Raises:
            NotPublished: if a shard has no snapshot.
            Unreachable: if Redis does not answer.
        """
        readings = {tag: _Reading(schema, tag, each, evicted) for tag, each in wanted.items()}
        # In one transaction, so that what is read is of one moment: inputs are logged before the guard is asked.
        read = client.pipeline(transaction=True)
        ends = []
        for reading in readings.values():
            reading.ask(read)
            ends.append(len(read))
        stored = answers(read)
        refused: dict[str, StoreError] = {}
        for reading, begin, end in zip(readings.values(), [0, *ends], ends, strict=False):
            try:
                reading.take(stored[begin:end])
            except (Closed, Unreadable) as error:
                refused[reading.tag] = error
        taken = [reading for tag, reading in readings.items() if tag not in refused]
        # MGET does not distinguish users without a profile from those whose key holds another type.
        absent = [(reading, userid) for reading in taken for userid in reading.absent]
        if absent:
            types = client.pipeline(transaction=False)
            for reading, userid in absent:
                types.type(f"{reading.tag}:profile:{userid}")
            for (reading, userid), kind in zip(absent, answers(types), strict=True):
                if kind != b"none":
                    reading.unreadable.add(userid)
        return {reading.tag: reading.state() for reading in taken}, refused


class _Reading:
    """The reading of a shard: its commands, and the state that their answers make.

    Attributes:
        tag: the shard's hash tag.
        absent: the users without a profile, once the answers are taken.
        unreadable: the users whose profile or seen filter cannot be read.
    """

    def __init__(self, schema: Schema, tag: str, wanted: Wanted, evicted: EvictedUsers | None) -> None:
        self.tag, self._schema, self._evicted = tag, schema, evicted
        self._items_of: dict[Id, list[Id]] = {}
        for userid, itemid in wanted.pairs:
            self._items_of.setdefault(userid, []).append(itemid)
        self._userids = [*self._items_of, *(userid for userid in wanted.userids if userid not in self._items_of)]
        self._awaited = list(wanted.awaited)
        self._itemids = list(dict.fromkeys(itemid for items in self._items_of.values() for itemid in items))
        self.absent: list[Id] = []
        self.unreadable: set[Id] = set()

    def ask(self, read: Pipeline) -> None:
        """Add the commands to a pipeline."""
        tag, userids = self.tag, self._userids
        read.get(f"{tag}:applied")
        read.exists(f"{tag}:closed")
        read.get(f"{tag}:changes")
        read.get(f"{tag}:waits")
        if self._awaited:
            read.hmget(f"{tag}:waiting", list(map(id_text, self._awaited)))
        if userids:
            read.mget([f"{tag}:profile:{userid}" for userid in userids])
            read.hmget(f"{tag}:users", [id_text(userid) for userid in userids])
            read.hmget(f"{tag}:items", [id_text(itemid) for itemid in self._itemids] or ["-"])
            read.hmget(f"{tag}:evicted", [id_text(userid) for userid in userids])
            for userid, items in self._items_of.items():
                read.hmget(f"{tag}:seen:{userid}", [id_text(itemid) for itemid in items])

    def take(self, stored: Sequence[Any]) -> None:
        """Take the answers to the commands; raises as `ShardState.read` returns and raises."""
        tag, schema, userids, itemids = self.tag, self._schema, self._userids, self._itemids
        applied, closed, changes, waits, *answered = stored
        self._of_awaited = _values(self._awaited, answered.pop(0) if self._awaited else [], unpack_waiting)
        if closed:
            raise Closed(f"shard {tag} is closed, because another generation of the state goes live")
        if applied is None:
            raise NotPublished("there is no snapshot yet; run `reelstream publish`")
        self._applied = offset_of(applied, f"{tag}:applied") or 0
        self._changes, self._waits = number_of(changes, f"{tag}:changes"), number_of(waits, f"{tag}:waits")
        packed, attributes, counts, marks, *seen = answered or ([], [], [], [])
        self._marked = read_marked(self._evicted, userids, [mark for _, mark in _fields(userids, marks)])
        packed = [_stored_profile(self._marked.get(userid), value) for userid, value in _fields(userids, packed)]
        seen = [
            _stored_events(self._marked.get(userid), items, values)
            for (userid, items), values in zip(self._items_of.items(), seen, strict=True)
        ]
        self._profiles = _values(userids, packed, partial(unpack_profile, schema))
        self._users = {
            userid: _value(stored, partial(unpack_user, schema, userid))
            for userid, stored in _fields(userids, attributes)
        }
        self._counters = _values(
            itemids, counts[: len(itemids)] if isinstance(counts, list) else counts, unpack_counter
        )
        self._rated = {
            (userid, itemid): _value(stored, partial(unpack_seen, schema.codes))
            for (userid, items), values in zip(self._items_of.items(), seen, strict=True)
            for itemid, stored in _fields(items, values)
            if stored is not None
        }
        self.absent = [userid for userid, profile in self._profiles.items() if profile is None]
        self.unreadable = _unreadable_users(self._profiles, self._rated)

    def state(self) -> ShardState:
        """The state."""
        tag, schema, users, of_awaited = self.tag, self._schema, self._users, self._of_awaited
        return ShardState(
            tag,
            self._applied,
            {
                userid: value if isinstance(value, Profile) else schema.profile(userid)
                for userid, value in self._profiles.items()
            },
            {userid: value if isinstance(value, User) else schema.user(userid) for userid, value in users.items()},
            {pair: value for pair, value in self._rated.items() if not isinstance(value, Unreadable)},
            {
                itemid: value if isinstance(value, ItemCounter) else ItemCounter()
                for itemid, value in self._counters.items()
            },
            frozenset(self.unreadable),
            frozenset(_unreadable(self._counters)),
            [
                *(f"attributes of user {userid} in {tag}: {users[userid]}" for userid in _unreadable(users)),
                *(f"what waits for item {itemid} in {tag}: {of_awaited[itemid]}" for itemid in _unreadable(of_awaited)),
            ],
            {userid: stored for userid, stored in self._marked.items() if isinstance(stored, StoredUser)},
            self._changes,
            self._waits,
            {itemid: entries for itemid, entries in of_awaited.items() if isinstance(entries, list)},
        )


def _stored_profile(marked: StoredUser | Unreadable | None, packed: Any) -> Any:
    """The packed profile of a user who may have been evicted."""
    return marked.profile if isinstance(marked, StoredUser) else marked or packed


def _stored_events(marked: StoredUser | Unreadable | None, items: Sequence[Id], values: Any) -> Any:
    """The entries for some items in the seen filter of a user who may have been evicted."""
    return [marked.seen.get(id_text(itemid).encode()) for itemid in items] if isinstance(marked, StoredUser) else values


def _unreadable_users(
    profiles: Mapping[Id, Profile | Unreadable | None], rated: Mapping[tuple[Id, Id], Seen | Unreadable]
) -> set[Id]:
    """Users whose stored profile or seen filter cannot be read, or is not their own, or lacks the other of the two."""
    unreadable = {userid for userid, _ in _unreadable(rated)} | {*_unreadable(profiles)}
    unreadable |= {userid for userid, _ in rated if profiles[userid] is None}
    return unreadable | {
        userid for userid, profile in profiles.items() if isinstance(profile, Profile) and profile.userid != userid
    }


def _unreadable(values: Mapping[K, object]) -> list[K]:
    """The names of the values that cannot be read."""
    return [name for name, value in values.items() if isinstance(value, Unreadable)]


def _fields(names: Sequence[Id], values: Any) -> Iterable[tuple[Id, Any]]:
    """Each name with its value; with the error in place of all of them where the key holds another type."""
    return zip(names, [values] * len(names) if isinstance(values, Exception) else values, strict=True)


def _values(names: Sequence[Id], packed: Any, unpack: Callable[[bytes], T]) -> dict[Id, T | Unreadable | None]:
    """The stored values by name; None where there is none."""
    return {name: None if stored is None else _value(stored, unpack) for name, stored in _fields(names, packed)}


def _value(packed: Any, unpack: Callable[[bytes], T]) -> T | Unreadable:
    """Return the stored value, or the error if it cannot be read."""
    try:
        return Unreadable(str(packed)) if isinstance(packed, Exception) else unpack(packed)
    except Unreadable as error:
        return error
