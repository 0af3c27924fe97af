"""One moment of a shard, for those who check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features import ItemCounter, Profile, Rated
from stores.errors import NotPublished
from stores.redis.connection import answers
from stores.redis.profiles import Profiles
from stores.redis.readable import offset_of, readable_counters, readable_dead, readable_users


@dataclass(frozen=True)
class ShardView:
    """A shard at one moment.

    Attributes:
        applied: offset of the last event folded into all of this.
        users: profiles and seen filters of the users asked for; without those that have none that can be read.
        counters: the shard's part of the counters of all items that have any.
        dead: dead letters so far, by reason.
        unpublished: items whose counters changed and may not be published yet.
    """

    applied: int
    users: Mapping[int, tuple[Profile, dict[int, Rated]]]
    counters: Mapping[int, ItemCounter]
    dead: Mapping[str, int]
    unpublished: frozenset[int]


def view_shard(profiles: Profiles, shard: int, userids: Sequence[int] = ()) -> ShardView:
    """Read a shard in one transaction.

    Raises:
        NotPublished: if the shard has no snapshot.
        Unreachable: if Redis does not answer.
    """
    tag = profiles.tag(shard)
    read = profiles.client.pipeline(transaction=True)
    read.get(f"{tag}:applied")
    read.hgetall(f"{tag}:items")
    read.hgetall(f"{tag}:dead")
    read.sunion([f"{tag}:dirty", f"{tag}:publishing"])
    for userid in userids:
        read.get(f"{tag}:profile:{userid}")
        read.hgetall(f"{tag}:seen:{userid}")
        read.hget(f"{tag}:evicted", str(userid))
    applied, counters, dead, unpublished, *users = answers(read)
    if applied is None:
        raise NotPublished("there is no snapshot yet; run `reelstream publish`")
    stored = profiles.stored_users(userids, users[::3], users[1::3], users[2::3])
    return ShardView(
        applied=offset_of(applied, f"{tag}:applied") or 0,
        users=readable_users(userids, [packed for packed, _ in stored], [seen for _, seen in stored]),
        counters=readable_counters(counters),
        dead=readable_dead(dead),
        unpublished=frozenset(
            () if isinstance(unpublished, Exception) else (int(itemid) for itemid in unpublished if itemid.isdigit())
        ),
    )
