"""The counters of all items, read again and again: only those that changed since are unpacked."""

from __future__ import annotations

from collections.abc import Mapping

from features import Id, ItemCounter
from features.counters import merge
from stores.errors import Unreadable
from stores.redis.connection import answers
from stores.redis.packing import unpack_counter
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_id


class KnownCounters:
    """The counters of all items as they were read last; not for use by several threads at once.

    Args:
        profiles: the state.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._packed: list[Mapping[bytes, bytes]] = [{} for _ in range(profiles.partitions)]
        self._counters: dict[Id, ItemCounter] = {}

    def read(self) -> Mapping[Id, ItemCounter]:
        """The counters of each item with any, summed over the shards; without those that cannot be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        read = self._profiles.client.pipeline(transaction=False)
        for shard in range(self._profiles.partitions):
            read.hgetall(f"{self._profiles.tag(shard)}:items")
        # A key that holds another type has no counters.
        packed: list[Mapping[bytes, bytes]] = [{} if isinstance(each, Exception) else each for each in answers(read)]
        changed: set[bytes] = set()
        for before, now in zip(self._packed, packed, strict=True):
            changed |= {name for name, value in now.items() if before.get(name) != value}
            changed |= before.keys() - now.keys()
        for name in changed:
            itemid = readable_id(self._profiles.schema.item_ids, name)
            if itemid is None:
                continue
            try:
                self._counters[itemid] = merge(unpack_counter(of[name]) for of in packed if name in of)
            except Unreadable:
                self._counters.pop(itemid, None)
        self._packed = packed
        return self._counters
