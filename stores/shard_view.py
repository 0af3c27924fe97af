"""One moment of a shard, for those who check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features import ItemCounter, Profile, Rated
from stores.errors import NotPublished
from stores.packing import SEEN, unpack_counter, unpack_profile
from stores.profiles import Profiles
from stores.redis import reachable


@dataclass(frozen=True)
class ShardView:
    """A shard at one moment.

    Attributes:
        applied: offset of the last event folded into all of this.
        users: profiles and seen filters of the users asked for; without those that have none.
        counters: the shard's part of the counters of all items that have any.
        dead: dead events so far, by reason.
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
    with reachable():
        applied, counters, dead, unpublished, *users = read.execute()
    if applied is None:
        raise NotPublished("there is no snapshot yet; run `reelstream publish`")
    found: dict[int, tuple[Profile, dict[int, Rated]]] = {}
    for userid, packed, seen in zip(userids, users[::2], users[1::2], strict=True):
        if packed or seen:
            profile = unpack_profile(packed) if packed else Profile(userid)
            found[userid] = profile, {int(itemid): SEEN.unpack(rated) for itemid, rated in seen.items()}
    return ShardView(
        applied=int(applied),
        users=found,
        counters={int(itemid): unpack_counter(packed) for itemid, packed in counters.items()},
        dead={reason.decode(): int(n) for reason, n in dead.items()},
        unpublished=frozenset(int(itemid) for itemid in unpublished),
    )
