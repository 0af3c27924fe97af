"""The items whose counters changed and whose rows are not written yet: `dirty`, and `publishing` while they are."""

from __future__ import annotations

from stores.redis.connection import reachable
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_itemids


class UnpublishedItems:
    """The unpublished items of a generation of the state; every method raises Unreachable where Redis does not answer.

    Args:
        profiles: the generation.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._client = profiles.client
        self._tags = [profiles.tag(shard) for shard in range(profiles.partitions)]

    def take(self) -> list[int]:
        """The items, sorted; `published` must follow once their rows are written.

        They stay marked until then, so that a publisher that dies in between loses none.
        """
        itemids: set[int] = set()
        with reachable():
            for tag in self._tags:
                move = self._client.pipeline(transaction=True)
                move.sunionstore(f"{tag}:publishing", [f"{tag}:publishing", f"{tag}:dirty"])
                move.delete(f"{tag}:dirty")
                move.smembers(f"{tag}:publishing")
                itemids.update(readable_itemids(move.execute()[2]))
        return sorted(itemids)

    def published(self) -> None:
        """Record that the rows of the items of the last `take` are written."""
        pipe = self._client.pipeline(transaction=False)
        for tag in self._tags:
            pipe.delete(f"{tag}:publishing")
        with reachable():
            pipe.execute()

    def count(self) -> int:
        """Number of marks: 0 where every row is written. An item has one for each shard in which it changed."""
        pipe = self._client.pipeline(transaction=False)
        for tag in self._tags:
            pipe.scard(f"{tag}:dirty")
            pipe.scard(f"{tag}:publishing")
        with reachable():
            return sum(pipe.execute())
