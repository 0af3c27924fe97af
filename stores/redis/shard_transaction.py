"""One batch's change of a shard, guarded against other writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import redis

from features import Event, ItemCounter, Profile, Rated, User
from stores.errors import NotPublished, ShardLost, Unreadable
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

T = TypeVar("T")


@dataclass
class Changes:
    """Changes that one batch of events makes in a shard; `tail` is its last record."""

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
        unreadable: by userid, the reason why a user's profile or seen filter cannot be read.
        unreadable_items: by itemid, the reason why the shard's counters of an item cannot be read.
        damaged: other values that cannot be read, in words; the fold goes on without them.
    """

    def __init__(self, client: Client, tag: str, pairs: Iterable[tuple[int, int]]) -> None:
        """Read the state of the pairs (userid, itemid).

        Raises:
            NotPublished: if the shard has no snapshot.
            Unreadable: if the shard does not say how far it is folded.
            Unreachable: if Redis does not answer.
        """
        self._tag, self._client = tag, client
        self.unreadable: dict[int, str] = {}
        self.unreadable_items: dict[int, str] = {}
        self.damaged: list[str] = []
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
                applied, *state = answers(read)
                self._type_of_profiles(client, userids, state)
            except BaseException:
                self._write.reset()
                raise
        if applied is None:
            self._write.reset()
            raise NotPublished("there is no snapshot yet; run `reelstream publish`")
        try:
            self.applied = offset_of(applied, f"{tag}:applied") or 0
        except Unreadable:
            self._write.reset()
            raise
        profiles, users, counters, *seen = state if state else ([], [], [])
        self.profiles = {
            userid: self._read(self.unreadable, userid, packed, unpack_profile) or Profile(userid)
            for userid, packed in zip(userids, profiles, strict=True)
        }
        for userid, profile in self.profiles.items():
            if profile.userid != userid:
                self.unreadable[userid] = f"it is that of user {profile.userid}"
        self.users = {userid: self._user(userid, packed) for userid, packed in self._fields(userids, users)}
        self.counters = {
            itemid: self._read(self.unreadable_items, itemid, packed, unpack_counter) or ItemCounter()
            for itemid, packed in self._fields(itemids, counters)
        }
        self.rated: dict[tuple[int, int], Rated] = {}
        for (userid, items), profile, values in zip(of_user.items(), profiles, seen, strict=True):
            for itemid, packed in self._fields(items, values):
                rated = self._read(self.unreadable, userid, packed, unpack_rated)
                if rated is not None:
                    self.rated[userid, itemid] = rated
                    if profile is None:
                        self.unreadable[userid] = "it is missing, while its seen filter is there"

    def why_unreadable(self, event: Event) -> str | None:
        """Return the reason why an event cannot be folded into the stored state; None if it can."""
        if event.userid in self.unreadable:
            return f"the stored profile of user {event.userid} cannot be read"
        if event.itemid in self.unreadable_items:
            return f"the stored counters of item {event.itemid} in {self._tag} cannot be read"
        return None

    def _type_of_profiles(self, client: Client, userids: Sequence[int], state: Sequence[Any]) -> None:
        """Distinguish users without a profile from those whose key holds another type, which MGET does not."""
        without = [userid for userid, packed in zip(userids, state[0], strict=True) if packed is None] if state else []
        if without:
            types = client.pipeline(transaction=False)
            for userid in without:
                types.type(f"{self._tag}:profile:{userid}")
            for userid, kind in zip(without, types.execute(), strict=True):
                if kind != b"none":
                    self.unreadable[userid] = f"its key holds a {kind.decode()}"

    @staticmethod
    def _fields(names: Sequence[int], values: Any) -> Iterable[tuple[int, Any]]:
        """Each name with its value; with the error in place of all of them where the key holds another type."""
        return zip(names, [values] * len(names) if isinstance(values, Exception) else values, strict=True)

    def _read(self, unreadable: dict[int, str], name: int, packed: Any, unpack: Callable[[bytes], T]) -> T | None:
        """The value in `packed`; None where there is none, or it cannot be read, which `unreadable` then says."""
        if packed is None:
            return None
        try:
            if isinstance(packed, Exception):
                raise Unreadable(str(packed)) from packed
            return unpack(packed)
        except Unreadable as error:
            unreadable[name] = str(error)
            return None

    def _user(self, userid: int, packed: Any) -> User:
        damaged: dict[int, str] = {}
        user = self._read(damaged, userid, packed, lambda stored: unpack_user(userid, stored))
        self.damaged += [f"attributes of user {userid} in {self._tag}: {why}" for why in damaged.values()]
        return user or unpack_user(userid, None)

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
            write.mset(
                {f"{tag}:profile:{userid}": pack_profile(profile) for userid, profile in changes.profiles.items()}
            )
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
        except redis.ResponseError as error:
            # The other commands of the transaction are done, `applied` among them: what is lost is what the error is
            # about, a count of dead letters or a mark that an item has changed.
            with reachable():
                if self._client.get(f"{tag}:applied") != str(applied).encode():
                    raise
            self.damaged.append(f"a key of {tag} holds another type: {error}")
        finally:
            write.reset()

    def abandon(self) -> None:
        """Give the connection back without writing."""
        self._write.reset()
