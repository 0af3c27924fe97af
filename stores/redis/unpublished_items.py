"""The items that changed, or whose counters did, and are not published yet: `dirty`, and `publishing` meanwhile."""

from __future__ import annotations

from collections.abc import Collection

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
        """The items, in ascending order; `published` must follow as they are written.

        They stay marked until then, so that a publisher that dies in between loses none. Marks that name no item go.
        """
        move = self._client.pipeline(transaction=True)
        for tag in self._tags:
            move.sunionstore(f"{tag}:publishing", [f"{tag}:publishing", f"{tag}:dirty"])
            move.delete(f"{tag}:dirty")
            move.smembers(f"{tag}:publishing")
        with reachable():
            marks = {name for names in move.execute()[2::3] for name in names}
        itemids = {*readable_ids(self._profiles.schema.item_ids, marks)}
        self._remove(marks.difference(id_text(itemid).encode() for itemid in itemids))
        return ascending(itemids)

    def published(self, itemids: Collection[Id]) -> None:
        """Record that some of the items that were taken last are written."""
        self._remove([id_text(itemid) for itemid in itemids])

    def _remove(self, names: Collection[str | bytes]) -> None:
        if names:
            pipe = self._client.pipeline(transaction=False)
            for tag in self._tags:
                pipe.srem(f"{tag}:publishing", *names)
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
