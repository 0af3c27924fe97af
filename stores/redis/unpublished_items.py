"""The items that changed, or whose counters did, and are not published yet: `dirty`, and `publishing` meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from features import Id, ascending, id_text
from stores.redis.connection import reachable
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_ids


class UnpublishedItems:
    """The unpublished items of a generation of the state; every method raises Unreachable where Redis does not answer.

    Args:
        profiles: the generation.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._client, self._profiles = profiles.client, profiles
        self._tags = [profiles.tag(shard) for shard in range(profiles.partitions)]

    def take(self) -> list[Id]:
        """The items, in ascending order; `published` must follow once they are written.

        They stay marked until then, so that a publisher that dies in between loses none.
        """
        kind, itemids = self._profiles.schema.item_ids, set[Id]()
        with reachable():
            for tag in self._tags:
                move = self._client.pipeline(transaction=True)
                move.sunionstore(f"{tag}:publishing", [f"{tag}:publishing", f"{tag}:dirty"])
                move.delete(f"{tag}:dirty")
                move.smembers(f"{tag}:publishing")
                itemids.update(readable_ids(kind, move.execute()[2]))
        return ascending(itemids)

    def published(self, left: Collection[Id] = ()) -> None:
        """Record that the items of the last `take` are written, but for some, which stay marked."""
        pipe = self._client.pipeline(transaction=True)
        for tag in self._tags:
            pipe.delete(f"{tag}:publishing")
        if left:
            pipe.sadd(f"{self._tags[0]}:publishing", *cast(Any, map(id_text, left)))
        with reachable():
            pipe.execute()

    def mark(self, itemids: Collection[Id]) -> None:
        """Mark items, so that what follows from them is written again."""
        if itemids:
            with reachable():
                self._client.sadd(f"{self._tags[0]}:dirty", *map(id_text, itemids))

    def count(self) -> int:
        """Number of marks: 0 where every row is written. An item has one for each shard in which it changed."""
        pipe = self._client.pipeline(transaction=False)
        for tag in self._tags:
            pipe.scard(f"{tag}:dirty")
            pipe.scard(f"{tag}:publishing")
        with reachable():
            return sum(pipe.execute())
