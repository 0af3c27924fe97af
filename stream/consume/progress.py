"""The position up to which each partition is folded, and from which a worker reads on."""

from __future__ import annotations

from collections.abc import Mapping

from faust.types import TP

from settings import Settings
from stores import DriftStore, StoreError
from stream.consume.log_guard import LogGuard
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import DRIFT, Troubles


class Progress:
    """The position up to which each partition is folded, as far as this worker knows.

    Args:
        stores: the state.
    """

    def __init__(self, stores: RedisStores) -> None:
        self._stores = stores
        self._last: dict[int, int] = {}

    @property
    def partitions(self) -> int:
        """Partitions of the log."""
        return self._stores.state.profiles.partitions

    def note(self, partition: int, offset: int) -> None:
        """Note the last offset that was folded just now."""
        self._last[partition] = offset

    def last(self, partition: int) -> int | None:
        """Last offset of a partition that is folded; None where that is not known yet."""
        return self._last.get(partition)

    def positions(self) -> list[int | None]:
        """Last offset in the state whose feature rows are written too, by partition; None before the snapshot.

        Kafka's own offset of the group does not tell: where Redis lost its last writes, that is further.

        Raises:
            Unreachable: if Redis does not answer.
        """
        profiles = self._stores.state.profiles
        applied = profiles.readable_applied()
        for partition, offset in enumerate(applied):
            if offset is not None:
                self._last[partition] = max(offset, self._last.get(partition, -1))
        return [
            None if offset is None else min(offset, -1 if visible is None else visible)
            for offset, visible in zip(applied, profiles.visible_offsets(), strict=True)
        ]

    def is_behind(self, read_from: Mapping[int, int]) -> bool:
        """Tell whether a partition is read from an offset after the one that the state needs next.

        Raises:
            Unreachable: if Redis does not answer.
        """
        applied = self._stores.state.profiles.applied()
        return any(
            (stands := applied[partition]) is not None and stands + 1 < offset
            for partition, offset in read_from.items()
            if partition < len(applied)
        )


class StartPositions:
    """The offsets from which a worker reads on, asked for each time that it is assigned partitions.

    Args:
        settings: all settings.
        progress: of the log.
        stores: which generation of the state is live, and the position in the feature log.
        guard: checks the log before any of it is read.
        health: tries again while a store does not answer.
    """

    def __init__(
        self, settings: Settings, progress: Progress, stores: RedisStores, guard: LogGuard, health: Health
    ) -> None:
        self._settings, self._progress, self._stores = settings, progress, stores
        self._guard, self._health = guard, health

    def __call__(self) -> dict[TP, int | None]:
        """Last offset that is in all stores, by partition; None before the snapshot."""
        return self._health.retrier("comparing the log with the state", self._read)

    def _read(self) -> dict[TP, int | None]:
        self._stores.follow()
        self._guard.start()
        topic = self._settings.kafka.topic
        positions = {TP(topic, partition): offset for partition, offset in enumerate(self._progress.positions())}
        if self._settings.drift.enabled:
            positions[TP(self._settings.kafka.features_topic, 0)] = counted(self._stores.drift, self._health.troubles)
        return positions


def counted(store: DriftStore, troubles: Troubles) -> int:
    """Offset of the feature log up to which drift is counted; -1 where that cannot be read.

    Raises:
        Unreachable: if Redis does not answer.
    """
    try:
        return store.position()
    except StoreError:
        raise
    except Exception as error:
        troubles.report(DRIFT, f"the position of drift cannot be read: {error!r}", error=error)
        return -1
