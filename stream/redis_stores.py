"""The stores of a worker in Redis, over one client."""

from __future__ import annotations

import logging
from contextlib import suppress

from settings import Settings
from stores import DriftStore, Generations, OtherVersion, StateStores, connect
from stores.redis.generations import FIRST

log = logging.getLogger("reelstream.stream")


class RedisStores:
    """The stores of a worker in Redis; the connection is made when it is first used.

    Whoever reads or writes the state takes `state` for as long as an operation lasts, and for the next one again.

    Args:
        settings: all settings.
        generation: of the state, until `follow` turns to the one that is live.

    Attributes:
        state: of the generation that the worker follows: the catalogue, the snapshot, and the shards.
        drift: what drift has counted and found, whatever generation is live.
    """

    def __init__(self, settings: Settings, generation: str = FIRST) -> None:
        self._settings, self._client = settings, connect(settings.redis)
        self._generations = Generations(self._client)
        self.state = StateStores.of(settings, generation, self._client)
        self.drift = DriftStore(self._client)
        self._snapshot: str | None = None

    def follow(self) -> None:
        """Turn to the generation that is live; where its state was begun anew, with its catalogue and schema of now.

        Raises:
            OtherVersion: if another release has written which one is live.
            Unreachable: if Redis does not answer.
        """
        found = self._generations.live()
        live, shards = found.name, found.shards_of(found.name, self._settings.kafka.partitions)
        if (live, shards) != (self.state.generation, self.state.profiles.partitions):
            log.info("going on with generation %s of the state", live or "1")
            self.state, self._snapshot = StateStores.of(self._settings, live, self._client, shards), None
        if self._begun_anew():
            log.info("the state was begun anew")
            self.state = StateStores.of(self._settings, live, self._client, shards)

    def _begun_anew(self) -> bool:
        """Tell whether the snapshot is another one than the last time."""
        before = self._snapshot
        with suppress(OtherVersion):
            if (snapshot := self.state.published.snapshot()) is not None:
                self._snapshot = snapshot.created
        return before is not None and self._snapshot != before
