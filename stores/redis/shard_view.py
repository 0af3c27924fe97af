"""One moment of a shard, for those who check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features import Id, ItemCounter, Profile, Seen, id_text
from features.layer import Changed
from stores.errors import NotPublished
from stores.redis.connection import answers
from stores.redis.packed_changes import Waiting
from stores.redis.profiles import Profiles
from stores.redis.readable import (
    offset_of,
    readable_counters,
    readable_dead,
    readable_ids,
    readable_offset,
    readable_users,
)
from stores.redis.shard_catalogue import readable_changed, readable_waiting


@dataclass(frozen=True)
class ShardView:
    """A shard at one moment.

    Attributes:
        applied: offset of the last event folded into all of this.
        users: profiles and seen filters of the users asked for; without those that have none that can be read.
        counters: the shard's part of the counters of all items that have any.
        dead: dead letters so far, by reason.
        unpublished: items whose counters or attributes changed and may not be published yet.
        changed: items that were changed since the snapshot; without those that cannot be read.
        changes: number of changes of items, as it is stored by itself; -1 if that cannot be read.
        withdrawn: the withdrawn ones of these, as they are stored by themselves.
        waiting: events that wait, by item; without those that cannot be read.
        waits: number of events that wait, as it is stored by itself; -1 if that cannot be read.
    """

    applied: int
    users: Mapping[Id, tuple[Profile, dict[Id, Seen]]]
    counters: Mapping[Id, ItemCounter]
    dead: Mapping[str, int]
    unpublished: frozenset[Id]
    changed: Mapping[Id, Changed]
    changes: int
    withdrawn: frozenset[Id]
    waiting: Mapping[Id, Sequence[Waiting]]
    waits: int


def view_shard(profiles: Profiles, shard: int, userids: Sequence[Id] = ()) -> ShardView:
    """Read a shard in one transaction.

    Raises:
        NotPublished: if the shard has no snapshot.
        Unreachable: if Redis does not answer.
    """
    tag, schema = profiles.tag(shard), profiles.schema
    kind = schema.item_ids
    read = profiles.client.pipeline(transaction=True)
    read.get(f"{tag}:applied")
    read.hgetall(f"{tag}:items")
    read.hgetall(f"{tag}:dead")
    read.sunion([f"{tag}:dirty", f"{tag}:publishing"])
    read.hgetall(f"{tag}:catalogue")
    read.get(f"{tag}:changes")
    read.smembers(f"{tag}:withdrawn")
    read.hgetall(f"{tag}:waiting")
    read.get(f"{tag}:waits")
    for userid in userids:
        read.get(f"{tag}:profile:{userid}")
        read.hgetall(f"{tag}:seen:{userid}")
        read.hget(f"{tag}:evicted", id_text(userid))
    applied, counters, dead, unpublished, changed, changes, withdrawn, waiting, waits, *users = answers(read)
    if applied is None:
        raise NotPublished("there is no snapshot yet; run `reelstream publish`")
    stored = profiles.stored_users(userids, users[::3], users[1::3], users[2::3])
    return ShardView(
        applied=offset_of(applied, f"{tag}:applied") or 0,
        users=readable_users(schema, userids, [packed for packed, _ in stored], [seen for _, seen in stored]),
        counters=readable_counters(kind, counters),
        dead=readable_dead(dead),
        unpublished=frozenset(() if isinstance(unpublished, Exception) else readable_ids(kind, unpublished)),
        changed=readable_changed(schema, changed),
        changes=_number(changes),
        withdrawn=frozenset(() if isinstance(withdrawn, Exception) else readable_ids(kind, withdrawn)),
        waiting=readable_waiting(schema, waiting),
        waits=_number(waits),
    )


def _number(stored: object) -> int:
    number = 0 if stored is None else readable_offset(stored)
    return -1 if number is None else number
