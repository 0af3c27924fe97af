"""The stores of one generation of the state, over one client."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from features import Id, Numbering
from scoring.run_ids import RunIds
from settings import Settings
from stores.errors import NotPublished
from stores.evicted import EvictedUsers
from stores.redis.connection import Client, connect
from stores.redis.generations import Generations
from stores.redis.live import LiveRun
from stores.redis.profiles import Profiles
from stores.redis.published import Published


@dataclass(frozen=True)
class StateStores:
    """The stores of a generation of the state in Redis.

    Attributes:
        generation: its name.
        profiles: its shards.
        published: its catalogue and snapshot; the run in use, which belongs to all generations.
    """

    generation: str
    profiles: Profiles
    published: Published

    @classmethod
    def of(
        cls, settings: Settings, generation: str, client: Client | None = None, shards: int | None = None
    ) -> StateStores:
        """The stores of a generation.

        Args:
            settings: all settings.
            generation: its name.
            client: Redis; None for one of their own.
            shards: that it has; None for as many as the settings say.
        """
        client = client or connect(settings.redis)
        evicted = EvictedUsers(settings.evicted_folder, generation)
        partitions = settings.kafka.partitions if shards is None else shards
        profiles = Profiles(client, settings.kafka.topic, partitions, generation, evicted)
        return cls(generation, profiles, Published(client, generation))

    @classmethod
    def live(cls, settings: Settings, client: Client | None = None) -> StateStores:
        """The stores of the generation that is live now.

        Raises:
            OtherVersion: if another release has written which one is live.
            Unreachable: if Redis does not answer.
        """
        client = client or connect(settings.redis)
        live = Generations(client).live()
        return cls.of(settings, live.name, client, live.shards_of(live.name, settings.kafka.partitions))

    def ids(self, run: LiveRun) -> RunIds:
        """The ids of a run with which lists are made of this state.

        For a run that an earlier reelstream published, each id is its own number, as far as ids are known.

        Raises:
            NotPublished: if Redis has lost them.
            OtherVersion: if they are of another version.
            Unreachable: if Redis does not answer.
        """
        if not run.numbered:
            users = (userid for shard in range(self.profiles.partitions) for userid in self.profiles.attributed(shard))
            return RunIds(_as_they_are(users), _as_they_are(self.published.catalogue()))
        if (ids := self.published.ids(run.run)) is None:
            raise NotPublished(f"the ids of run {run.run} are not in Redis; run `reelstream publish {run.run}` again")
        return ids


def _as_they_are(ids: Iterable[Id]) -> Numbering:
    """The numbering in which all whole numbers up to the greatest id stand for themselves."""
    return Numbering(range(1, max(map(int, ids), default=0) + 1))
