"""What a stream worker does with its batches: fold, and try again while a store is away."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from features import Item
from settings import Settings
from stores import DriftTopics, Gap, Logged, NotPublished, Profiles, Published, ShardLost, Skipped, StoreError
from stores.feast.feature_store import Features
from stores.kafka.dead_letters import DeadLetters
from stream.consume.log_guard import LogGuard
from stream.fold.fold import Fold
from stream.fold.inputs import Inputs
from stream.fold.items import publish_items
from stream.metrics import Metrics
from stream.retry import Retrier
from stream.troubles import Troubles

log = logging.getLogger("reelstream.stream")

DEAD_WITHIN_S = 30.0
"""Seconds that Kafka gets to take a batch's dead letters, before the batch is tried again."""


class Worker:
    """Folds batches and publishes item counters. Its methods block; they run beside the event loop."""

    def __init__(
        self, settings: Settings, profiles: Profiles, published: Published, metrics: Metrics, retrier: Retrier
    ) -> None:
        self._settings = settings
        self._profiles = profiles
        self._published = published
        self._metrics = metrics
        self._retrier = retrier
        self._fold: Fold | None = None
        self._items: Mapping[int, Item] = {}
        self._item_features: Features | None = None
        self.troubles = Troubles(lambda kind, n: metrics.troubles.labels(kind).inc(n))
        self._file = DeadLetters(settings.kafka, DEAD_WITHIN_S)
        self._last: dict[int, int] = {}
        self.guard = LogGuard(settings, profiles, metrics)

    def prepare(self) -> None:
        """Get ready before the first event comes, as far as the stores let it."""
        with suppress(StoreError):
            self._make_fold()

    def applied(self) -> list[int | None]:
        """Last offset in the state, by partition; None before the snapshot.

        Raises:
            Unreachable: if Redis does not answer.
        """
        applied = self._profiles.readable_applied()
        for partition, offset in enumerate(applied):
            if offset is not None:
                self._last[partition] = max(offset, self._last.get(partition, -1))
        return applied

    def positions(self) -> list[int | None]:
        """Last offset in the state whose feature rows are written too, by partition; None before the snapshot.

        Kafka's own offset of the group does not tell: where Redis lost its last writes, that is further.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return [
            None if applied is None else min(applied, -1 if visible is None else visible)
            for applied, visible in zip(self.applied(), self._profiles.visible_offsets(), strict=True)
        ]

    def has_passed(self, read_from: Mapping[int, int]) -> bool:
        """Say whether a partition is read from an offset after the one that the state needs next.

        Raises:
            Unreachable: if Redis does not answer.
        """
        applied = self._profiles.applied()
        return any(
            (stands := applied[partition]) is not None and stands + 1 < offset
            for partition, offset in read_from.items()
            if partition < len(applied)
        )

    def waiting(self, partition: int, high: int | None) -> int:
        """How many events of a partition wait, where `high` is the offset of its next one; 0 where that is unknown."""
        return 0 if high is None else max(0, high - 1 - self._last.get(partition, high - 1))

    @property
    def partitions(self) -> int:
        """Partitions of the log."""
        return self._profiles.partitions

    @property
    def waits_for(self) -> str | None:
        """What the worker cannot go on without; None while it works."""
        return self._retrier.waits_for()

    def fold(self, batches: Mapping[int, Sequence[Logged]], holds: Callable[[int], bool]) -> set[int]:
        """Fold consecutive events of some partitions, however long the stores are away.

        Args:
            batches: the events, by partition.
            holds: tells whether this worker still holds a partition.

        Returns:
            The partitions whose events are folded; the others have gone to another worker.

        Raises:
            Skipped: if events before these were not delivered; the worker must start over.
        """
        left = dict(batches)

        def attempt() -> None:
            self.guard.require_check(left)
            for partition in left.keys() & self.guard.stopped.keys():
                del left[partition]
            if not left:
                return
            fold = self._fold or self._make_fold()
            with self._metrics.batch_seconds.time():
                folded, refused = fold(left)
            for partition, became in folded.items():
                if not isinstance(refused.get(partition), Skipped):
                    del left[partition]
                self._metrics.applied.inc(became.applied)
                self._metrics.redelivered.inc(became.redelivered)
                self._metrics.dead.inc(became.dead)
                self._last[partition] = became.last
                if became.tail is not None:
                    self.guard.note({partition: became.tail})
            for partition in refused:
                if partition in left and not holds(partition):
                    del left[partition]
                    gone.add(partition)
                    log.info("partition %d has gone to another worker", partition)
            for partition, error in refused.items():
                if isinstance(error, Gap):
                    self.guard.stop(partition, str(error), self._last.get(partition))
                    left.pop(partition, None)
            errors = [error for partition, error in refused.items() if partition in left]
            # Events that were skipped end the worker; a shard that was changed by another may be tried again.
            for error in sorted(errors, key=lambda error: isinstance(error, ShardLost)):
                raise error

        gone: set[int] = set()
        self._retrier("folding a batch", attempt)
        return set(batches) - gone

    def publish_items(self) -> None:
        """Publish the item counters that changed, if the stores answer; else the next call does."""
        if self._fold is None:
            return
        if self._item_features is None:
            self._item_features = Features(self._settings)
        features = self._item_features
        published = self._retrier(
            "publishing item counters",
            lambda: publish_items(self._profiles, self._published, features, self._items, self._damaged),
        )
        self._metrics.items.inc(published)

    def _make_fold(self) -> Fold:
        self._published.require_state_version()
        try:
            self._items = self._published.catalogue()
        except StoreError:
            raise
        except Exception as error:
            raise NotPublished(
                f"the catalogue in Redis cannot be read ({error!r}); `reelstream publish` writes it again"
            ) from error
        inputs = None
        if self._settings.drift.enabled:
            topics = DriftTopics(self._settings.kafka)
            inputs = Inputs(self._items, self._published.others, self._settings.drift, topics, self.troubles)
        self._fold = Fold(
            self._profiles,
            Features(self._settings),
            self._items,
            self._report_dead,
            self._settings.stream.max_future_s,
            inputs,
            self.guard.runs,
            self._damaged,
        )
        return self._fold

    def _damaged(self, message: str, n: int) -> None:
        self.troubles.report("stored values", message, n)

    def _report_dead(self, dead: Sequence[tuple[Logged, str]]) -> None:
        for reason, n in Counter(reason for _, reason in dead).items():
            first = next(record for record, why in dead if why == reason)
            log.warning("%d dead, from partition %d offset %d on: %s", n, first.partition, first.offset, reason)
        if refused := self._file(dead):
            record, reason, error = refused[0]
            self.troubles.report(
                "dead letters",
                f"Kafka refuses {len(refused)} for good, from partition {record.partition} offset {record.offset} on "
                f"({reason}): {error}; the records stay in the log",
                len(refused),
            )
