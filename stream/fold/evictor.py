"""The eviction of inactive users from Redis, by the worker that holds their partition."""

from __future__ import annotations

import logging
from collections.abc import Collection

from settings import Settings
from stores import StateStores, project_of
from stores.feast.online_rows import OnlineRows
from stores.redis.eviction import evict, last_events
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import STORED_VALUES

log = logging.getLogger("reelstream.stream")

DAY_S = 24 * 3600
EVERY_S = 60.0
"""Seconds between two looks; each is at one partition."""

USERS = 200
"""Users evicted in one transaction, for which a fold into the partition waits."""


class Evictor:
    """Evicts the users of one partition after the other.

    Args:
        settings: all settings.
        stores: the state.
        health: failures.
    """

    def __init__(self, settings: Settings, stores: RedisStores, health: Health) -> None:
        self._settings, self._stores, self._health = settings, stores, health
        self._last = -1

    def look(self, partitions: Collection[int]) -> None:
        """Evict the inactive users of the next of some partitions; a failure is reported, and tried again later."""
        if not partitions:
            return
        shard = min((each for each in partitions if each > self._last), default=min(partitions))
        self._last = shard
        try:
            state = self._stores.state
            state.published.require_state_version()
            if evicted := evict_inactive(self._settings, state, shard):
                self._health.metrics.evicted.inc(evicted)
                log.info("evicted %d inactive users of partition %d", evicted, shard)
        except Exception as error:
            self._health.troubles.report(STORED_VALUES, f"inactive users stay in Redis: {error}", error=error)


def evict_inactive(settings: Settings, state: StateStores, shard: int) -> int:
    """Evict the users of a shard whose latest event is too long before the newest one of the shard; how many.

    Raises:
        Unreachable: if a store does not answer.
    """
    latest = last_events(state.profiles, shard)
    if not latest or not settings.stream.inactive_days:
        return 0
    before = max(latest.values()) - settings.stream.inactive_days * DAY_S
    inactive = sorted(userid for userid, ts in latest.items() if ts < before)
    rows = OnlineRows(state.profiles.client, project_of(settings.feast.project, state.generation))
    return sum(
        evict(state.profiles, rows, shard, inactive[start : start + USERS]) for start in range(0, len(inactive), USERS)
    )
