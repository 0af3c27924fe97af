"""One batch's change of some shards, guarded against other writers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import redis
from redis.client import Pipeline

from features import EventError, Id, ItemCounter, Profile, Schema, Seen, User, id_text
from features.event import Event
from features.layer import Changed
from stores.errors import ShardLost, StoreError
from stores.evicted import EvictedUsers
from stores.kafka.record import Mark
from stores.redis.connection import Client, answers, reachable
from stores.redis.packed_changes import Waiting
from stores.redis.packing import pack_counter, pack_profile, pack_seen, pack_user
from stores.redis.readable import readable_ids
from stores.redis.shard_catalogue import readable_waiting, write_items, write_unwritten, write_waiting
from stores.redis.shard_state import ShardState, Wanted


@dataclass
class Changes:
    """Changes that one batch of events makes in a shard.

    Attributes:
        profiles: changed profiles.
        rated: changed entries of the seen filters, by (userid, itemid).
        counters: changed counters; those without an event are deleted.
        dead: new dead letters, by reason.
        tail: the last record of the batch.
        erased: users of whom everything is deleted.
        users: users whose attributes changed.
        layer: items that were changed.
        current: number of changes of items that became current.
        waiting: by item, all events that wait for it now; none where they are deleted.
        waited: number by which there are more events that wait.
        unwritten: users of waiting events that were folded, whose rows must be written even after a crash; None to
            leave those before.
    """

    profiles: Mapping[Id, Profile]
    rated: Mapping[tuple[Id, Id], Seen]
    counters: Mapping[Id, ItemCounter]
    dead: Mapping[str, int]
    tail: Mark | None = None
    erased: Collection[Id] = ()
    users: Mapping[Id, User] = field(default_factory=dict)
    layer: Mapping[Id, Changed] = field(default_factory=dict)
    current: int = 0
    waiting: Mapping[Id, Sequence[Waiting]] = field(default_factory=dict)
    waited: int = 0
    unwritten: Collection[Id] | None = None


class Transaction:
    """One guarded change of some shards: read in full when made, written in full or not at all by `commit`.

    Attributes:
        states: the state of each shard as it was read.
        refused: by shard, the reason why there is no state that may be changed: `Closed` or `Unreadable`.

    Args:
        client: Redis.
        schema: of the data set.
        tags: the shards' hash tags.
        wanted: what is read of the state of each shard.
        evicted: the users that Redis does not hold.

    Raises:
        NotPublished: if a shard has no snapshot.
        Unreachable: if Redis does not answer.
    """

    def __init__(
        self,
        client: Client,
        schema: Schema,
        tags: Mapping[int, str],
        wanted: Mapping[int, Wanted],
        evicted: EvictedUsers | None = None,
    ) -> None:
        self._schema, self._tags, self._client = schema, tags, client
        with reachable():
            self._write = client.pipeline(transaction=True)
            self._write.watch(*(f"{tag}:{key}" for tag in tags.values() for key in ("applied", "closed")))  # type: ignore[no-untyped-call]
            try:
                self.states, self.refused = self._read(wanted, evicted)
            except BaseException:
                self._write.reset()
                raise

    def _read(
        self, wanted: Mapping[int, Wanted], evicted: EvictedUsers | None
    ) -> tuple[dict[int, ShardState], dict[int, StoreError]]:
        """Read the wanted values, and those that events need which have waited for an item of the batch; by shard."""
        brought = {
            shard: _Brought(self._schema, self._tags[shard], each) for shard, each in wanted.items() if each.brought
        }
        if brought:
            read = self._client.pipeline(transaction=False)
            for each in brought.values():
                each.ask(read)
            stored = answers(read)
            for place, each in enumerate(brought.values()):
                each.take(*stored[2 * place : 2 * place + 2])
        asked = {self._tags[shard]: each for shard, each in wanted.items()}
        asked |= {each.tag: each.wanted() for each in brought.values()}
        states, refused = ShardState.read(self._client, self._schema, asked, evicted)
        shards = {self._tags[shard]: shard for shard in wanted}
        found = {shards[tag]: state for tag, state in states.items()}
        # What waits is as it was read first, with its users; where it has changed meanwhile, the commit is refused.
        found |= {shard: each.added_to(found[shard]) for shard, each in brought.items() if shard in found}
        return found, {shards[tag]: error for tag, error in refused.items()}

    def commit(self, changes: Mapping[int, tuple[int, Changes]]) -> dict[int, str]:
        """Write the changes of some shards, together with the offset of the last record in them, as (offset, changes).

        Returns:
            By shard, what was lost of them, where a key that is only written holds another type.

        Raises:
            ShardLost: if another worker has changed one of the shards that were read, or it was closed; nothing is
                written, of any shard.
            Unreachable: if Redis does not answer; it may or may not have written.
        """
        self._write.multi()
        ends = []
        for shard, (applied, each) in changes.items():
            _Writing(self._write, self._schema, self._tags[shard], self.states[shard]).add(applied, each)
            ends.append(len(self._write))
        try:
            with reachable():
                written = self._write.execute(raise_on_error=False)
        except redis.WatchError:
            tags = ", ".join(self._tags[shard] for shard in changes)
            raise ShardLost(f"{tags} was changed by another worker; this one stops") from None
        finally:
            self._write.reset()
        lost = {}
        for shard, begin, end in zip(changes, [0, *ends], ends, strict=False):
            # The other commands of the transaction are done: what is lost is what the error is about, a count of dead
            # letters or a mark that an item has changed.
            if errors := [each for each in written[begin:end] if isinstance(each, Exception)]:
                lost[shard] = f"a key of {self._tags[shard]} holds another type: {errors[0]}"
        return lost

    def moved(self) -> set[int]:
        """The shards that do not stand where they did when they were read, or were closed; raises Unreachable."""
        read = self._client.pipeline(transaction=False)
        for shard in self.states:
            read.get(f"{self._tags[shard]}:applied")
            read.exists(f"{self._tags[shard]}:closed")
        stored = answers(read)
        found = zip(self.states.items(), stored[::2], stored[1::2], strict=True)
        return {shard for (shard, state), applied, closed in found if closed or applied != str(state.applied).encode()}

    def abandon(self) -> None:
        """Give the connection back without writing."""
        self._write.reset()


class ShardTransaction:
    """A `Transaction` of one shard.

    Attributes:
        state: the state as it was read.

    Raises:
        Closed: if nobody may fold into the shard.
        Unreadable: if the shard does not say how far it is folded, or how often its items changed.
        StoreError: as `Transaction` does.
    """

    def __init__(
        self, client: Client, schema: Schema, tag: str, wanted: Wanted, evicted: EvictedUsers | None = None
    ) -> None:
        self._transaction = Transaction(client, schema, {0: tag}, {0: wanted}, evicted)
        if self._transaction.refused:
            self._transaction.abandon()
            raise self._transaction.refused[0]
        self.state = self._transaction.states[0]

    def commit(self, applied: int, changes: Changes) -> str | None:
        """Write the changes; see `Transaction.commit`."""
        return self._transaction.commit({0: (applied, changes)}).get(0)

    def abandon(self) -> None:
        """Give the connection back without writing."""
        self._transaction.abandon()


class _Brought:
    """The events of a shard that wait for items which a change may bring.

    Attributes:
        tag: the shard's hash tag.
    """

    def __init__(self, schema: Schema, tag: str, wanted: Wanted) -> None:
        self.tag, self._schema, self._wanted = tag, schema, wanted
        self._names = list(map(id_text, wanted.brought))
        self._waiting: dict[Id, list[Waiting]] = {}
        self._unwritten: frozenset[Id] = frozenset()
        self._damaged: list[str] = []

    def ask(self, read: Pipeline) -> None:
        """Add two commands to a pipeline."""
        read.hmget(f"{self.tag}:waiting", self._names)
        read.smembers(f"{self.tag}:unwritten")

    def take(self, stored: Any, noted: Any) -> None:
        """Take the answers to the commands."""
        self._unwritten = frozenset(() if isinstance(noted, Exception) else readable_ids(self._schema.user_ids, noted))
        if isinstance(stored, Exception):
            self._damaged.append(f"what waits for items in {self.tag}: {stored}")
            return
        packed = {name.encode(): value for name, value in zip(self._names, stored, strict=True) if value is not None}
        self._waiting = readable_waiting(self._schema, packed)
        if lost := len(packed) - len(self._waiting):
            self._damaged.append(f"what waits for {lost} items in {self.tag} cannot be read")

    def wanted(self) -> Wanted:
        """The wanted values, with those that the waiting events need."""
        events = (event for entries in self._waiting.values() for _, event in waiting_events(self._schema, entries))
        return replace(
            self._wanted,
            pairs={*self._wanted.pairs, *((event.userid, event.itemid) for event in events)},
            userids={*self._wanted.userids, *self._unwritten},
            awaited={*self._wanted.awaited} - {*self._wanted.brought},
        )

    def added_to(self, state: ShardState) -> ShardState:
        """The state with these events."""
        return replace(
            state,
            waiting={**state.waiting, **self._waiting},
            unwritten=self._unwritten,
            damaged=[*state.damaged, *self._damaged],
        )


@dataclass(frozen=True, slots=True)
class _Writing:
    """Adds the changes of a shard to a pipeline.

    Attributes:
        write: the pipeline.
        schema: of the data set.
        tag: the shard's hash tag.
        state: the state as it was read.
    """

    write: Pipeline
    schema: Schema
    tag: str
    state: ShardState

    def add(self, applied: int, changes: Changes) -> None:
        """Add all changes, and the offset of the last record in them."""
        tag, write = self.tag, self.write
        self._write_users(changes)
        self._write_counters(changes)
        self._write_catalogue(changes)
        for reason, n in changes.dead.items():
            write.hincrby(f"{tag}:dead", reason, n)
        write.set(f"{tag}:applied", applied)
        if changes.tail is not None:
            write.hset(f"{tag}:log", "tail", str(changes.tail))

    def _write_users(self, changes: Changes) -> None:
        tag, write = self.tag, self.write
        seen: dict[Id, dict[str, bytes]] = {}
        for (userid, itemid), events in changes.rated.items():
            seen.setdefault(userid, {})[id_text(itemid)] = pack_seen(events)
        if changes.profiles:
            write.mset(
                {f"{tag}:profile:{userid}": pack_profile(profile) for userid, profile in changes.profiles.items()}
            )
        for userid in self.state.evicted.keys() & changes.profiles.keys():
            if filtered := self.state.evicted[userid].seen:
                write.hset(f"{tag}:seen:{userid}", mapping=cast(Any, filtered))
            write.hdel(f"{tag}:evicted", id_text(userid))
        for userid, fields in seen.items():
            write.hset(f"{tag}:seen:{userid}", mapping=cast(Any, fields))
        for user in changes.users.values():
            write.hset(f"{tag}:users", id_text(user.userid), cast(Any, pack_user(self.schema, user)))
        if changes.erased:
            write.delete(*(f"{tag}:{kind}:{userid}" for userid in changes.erased for kind in ("profile", "seen")))
            for name in ("users", "evicted"):
                write.hdel(f"{tag}:{name}", *map(id_text, changes.erased))
            write.srem(f"{tag}:unwritten", *map(id_text, changes.erased))

    def _write_counters(self, changes: Changes) -> None:
        tag, write, counters = self.tag, self.write, changes.counters
        if packed := {id_text(itemid): pack_counter(counter) for itemid, counter in counters.items() if counter.n}:
            write.hset(f"{tag}:items", mapping=cast(Any, packed))
        if gone := [id_text(itemid) for itemid, counter in counters.items() if not counter.n]:
            write.hdel(f"{tag}:items", *gone)
        if counters:
            write.sadd(f"{tag}:dirty", *map(id_text, counters))

    def _write_catalogue(self, changes: Changes) -> None:
        tag, write, state = self.tag, self.write, self.state
        if changes.layer:
            write_items(write, tag, changes.layer)
            write.set(f"{tag}:changes", state.changes + changes.current)
            write.sadd(f"{tag}:dirty", *map(id_text, changes.layer))
        if changes.waiting:
            write_waiting(write, tag, changes.waiting, state.waits + changes.waited)
        if changes.unwritten is not None:
            write_unwritten(write, tag, changes.unwritten)


def waiting_events(schema: Schema, entries: Iterable[Waiting]) -> list[tuple[Waiting, Event]]:
    """Records that wait, with their events; without those that are none, which nobody let wait."""
    events = []
    for entry in entries:
        try:
            event = schema.events.decode(entry.key, entry.value)
        except EventError:
            continue
        if isinstance(event, Event):
            events.append((entry, event))
    return events
