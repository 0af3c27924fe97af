"""The stores of a worker in Redis, over one client."""

from __future__ import annotations

from dataclasses import dataclass

from settings import Settings
from stores import DriftStore, Profiles, Published, connect


@dataclass(frozen=True)
class RedisStores:
    """The stores of a worker in Redis.

    Attributes:
        profiles: the state, by shard.
        published: the catalogue, the snapshot and the run in use.
        drift: what drift has counted and found.
    """

    profiles: Profiles
    published: Published
    drift: DriftStore

    @classmethod
    def of(cls, settings: Settings) -> RedisStores:
        """The stores; the connection is made when it is first used."""
        client = connect(settings.redis)
        profiles = Profiles(client, settings.kafka.topic, settings.kafka.partitions)
        return cls(profiles, Published(client), DriftStore(client))
