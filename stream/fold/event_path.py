"""The path of an event through a stream worker, from the topic to the stores.

The order of effects, for the records of all partitions in a batch together:

    1. read         records that wait, from the topic
    2. validate     each record: an event, an erasure, a change of an item or a user, or a dead letter
    3. fold         events and changes, or erasures, into the state of their shard, which is read for that; in memory
    4. log          dead letters to `ratings.dead`, then the ranker's inputs as they stood before each event to the
                    feature log; Kafka acknowledges both
    5. commit       one Redis transaction, guarded by each shard's `applied`: profiles, seen filters, item counters,
                    changed items, events that wait for an item, counts of dead letters, and `applied`
    6. write rows   of the batch's users to Feast, made from the state just committed; then the visible offset, which
                    says that they are there
    7. acknowledge  the records' offsets to Kafka

A shard that is closed refuses the commit, because another generation of the state goes live (`lifecycle.rebuild`); the
worker turns to the live generation, whose shards stand at the same offsets, and folds the same records into it.

A crash between any two of them leads to redelivery. Records at or below `applied` change nothing, and the rows of their
users are written again from the state. The feature log may then hold an event twice, identically; its reader goes by
partition and offset.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import faust

from features.layer import Layer
from settings import Settings
from stores import Closed, Gap, LogError, Logged, ShardLost, ShardState, Skipped, Transaction, Unreadable
from stream.consume.assignment import Assignment
from stream.consume.batches import acknowledge, batches, records_of, run_blocking
from stream.consume.log_guard import LogGuard
from stream.consume.progress import Progress
from stream.exit import end, end_unexpectedly
from stream.fold.erasures import erase_users
from stream.fold.layers import ShardLayers
from stream.fold.shard_batch import Dead, ReadRuns, Rules, ShardBatch
from stream.fold.shard_batch import Unreadable as UnreadableState
from stream.fold.shard_fold import Known, ShardFold, fold_batch
from stream.fold.stores import FoldStores, FoldTopics
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import STORED_VALUES

log = logging.getLogger("reelstream.stream")

Uncommitted = tuple[ShardState, ShardFold]
"""A shard's fold, and the state that it was made of."""


BUSY_S = 0.25
"""Seconds after a batch in which others leave the interpreter to the next one."""


class EventPath:
    """Takes events from the topic to the stores, however long one of them is away.

    Args:
        settings: all settings.
        stores: the state and the catalogue.
        guard: knows the partitions whose log is not that of their state.
        progress: notes how far each partition is.
        assignment: the partitions that this worker holds.
        health: metrics, failures, and what the worker waits for.
    """

    def __init__(
        self,
        settings: Settings,
        stores: RedisStores,
        guard: LogGuard,
        progress: Progress,
        assignment: Assignment,
        health: Health,
    ) -> None:
        self._settings, self._stores = settings, stores
        self._guard, self._progress, self._assignment, self._health = guard, progress, assignment, health
        self._topics = FoldTopics.of(settings)
        self._fold: Fold | None = None
        self._busy_until = -math.inf

    def is_busy(self) -> bool:
        """Tell whether events come in: a batch is folded now, or was a moment ago."""
        return time.monotonic() < self._busy_until

    @property
    def folding(self) -> FoldStores | None:
        """The stores that events are folded into, with the catalogue; None before there is one."""
        return self._fold.stores if self._fold else None

    async def follow(self, stream: faust.StreamT[bytes]) -> None:
        """Take the events of a stream to the stores, until the worker ends."""
        limits = self._settings.stream
        async for events in batches(stream, limits.batch_events, limits.batch_within_s):  # 1. read
            await run_blocking(self._take, events)  # 2. to 6.
            await acknowledge(stream, events)  # 7. acknowledge

    def _take(self, events: Sequence[Any]) -> None:
        """Take a batch of Faust's events to the stores; an error that retrying cannot fix ends the process."""
        self._busy_until = math.inf
        records: dict[int, list[Logged]] = {}
        for record in records_of(events):
            records.setdefault(record.partition, []).append(record)
        try:
            folds = self.fold(records)
        except Skipped as error:
            end(str(error))
        except Exception as error:
            end_unexpectedly(error)
        else:
            now = time.time()
            self._busy_until = time.monotonic() + BUSY_S
            for fold in folds.values():
                for record in fold.batch.records:
                    self._health.metrics.freshness_seconds.observe(max(0.0, now - record.created))

    def fold(self, records: Mapping[int, Sequence[Logged]]) -> dict[int, ShardFold]:
        """Fold consecutive records of some partitions; records of a stopped partition are left alone.

        Returns:
            What was folded, by partition; without partitions that have gone to another worker.

        Raises:
            Skipped: if records before these were not delivered; the worker must start over.
        """
        remaining = self._running(records)
        folded: dict[int, ShardFold] = {}

        def attempt() -> None:
            folds, errors = self._attempt(remaining)
            folded.update(folds)
            for partition in remaining.keys() - errors.keys():
                del remaining[partition]
            # Skipped records end the worker; a shard that was changed by another may be tried again.
            for error in sorted(errors.values(), key=lambda error: isinstance(error, ShardLost)):
                raise error

        if remaining:
            self._health.retrier("folding a batch", attempt)
        return folded

    def _attempt(self, records: Mapping[int, Sequence[Logged]]) -> tuple[dict[int, ShardFold], dict[int, LogError]]:
        """Fold once: what was folded, and the errors of partitions whose records are still to be folded."""
        self._guard.require_check(records)
        running = self._running(records)
        if not running:
            return {}, {}
        fold = self._fold
        if fold is None or fold.stores.profiles is not self._stores.state.profiles:
            fold = self.prepare()
        with self._health.metrics.batch_seconds.time():
            folded, refused = fold(running)
        for partition, shard_fold in folded.items():
            self._note(partition, shard_fold)
        errors: dict[int, LogError] = {}
        for partition, error in refused.items():
            if isinstance(error, Gap):
                self._guard.stop(partition, str(error), self._progress.last(partition))
            elif partition in self._assignment:
                errors[partition] = error
            else:
                log.info("partition %d has gone to another worker", partition)
        if any(isinstance(error, Closed) for error in errors.values()):
            self._stores.follow()
        return folded, errors

    def _running(self, records: Mapping[int, Sequence[Logged]]) -> dict[int, Sequence[Logged]]:
        """Records of the partitions that are not stopped."""
        stopped = self._guard.stopped
        return {partition: batch for partition, batch in records.items() if partition not in stopped}

    def _note(self, partition: int, fold: ShardFold) -> None:
        metrics = self._health.metrics
        metrics.applied.inc(fold.applied)
        metrics.redelivered.inc(fold.redelivered)
        metrics.dead.inc(len(fold.dead))
        self._progress.note(partition, fold.batch.last)
        if fold.changes.tail is not None:
            self._guard.note({partition: fold.changes.tail})

    def prepare(self) -> Fold:
        """Make ready to fold into the generation that the worker follows; the first batch need not wait for it then.

        Raises:
            NotPublished: if there is no catalogue that can be read.
            Unreachable: if Redis does not answer.
        """
        stores = FoldStores.connect(self._settings, self._stores.state, self._topics, self._health.troubles)
        waiting_events = self._settings.catalogue.waiting_events
        self._fold = Fold(stores, self._settings.stream.max_future_s, self._guard.runs, waiting_events=waiting_events)
        self._fold.layers.read_all()
        return self._fold


class Fold:
    """Folds batches once, with the effects in the order above.

    Attributes:
        stores: the stores.
        layers: the items as each shard knows them.

    Args:
        stores: the stores.
        max_future_s: seconds by which an event may be later than its append time.
        read_runs: tells records that are lost from offsets that never held one.
        waiting_events: how many events of a partition may wait for their items.
    """

    def __init__(self, stores: FoldStores, max_future_s: float, read_runs: ReadRuns, *, waiting_events: int) -> None:
        self.stores, self._read_runs, self._most_waiting = stores, read_runs, waiting_events
        self._rules = Rules(stores.schema, stores.profiles.partitions, max_future_s)
        self.layers = ShardLayers(stores.profiles, stores.items)

    def __call__(self, records: Mapping[int, Sequence[Logged]]) -> tuple[dict[int, ShardFold], dict[int, LogError]]:
        """Fold consecutive records of some partitions; all partitions wait for Kafka and the feature store together.

        Args:
            records: the records, at least one, by partition.

        Returns:
            What was folded, by partition, and why other records could not be folded: `Gap` if the log lacks records,
            `Skipped` if some were not delivered, `ShardLost` if another worker has taken the shard, `Closed` if
            another generation of the state goes live. Records before those that are missing are folded.

        Raises:
            NotPublished: if a shard has no snapshot.
            Unreachable: if a store does not answer; the same records may be given again.
        """
        # 2. Validate.
        left = {shard: ShardBatch.validate(shard, batch, self._rules).runs() for shard, batch in records.items()}
        folded: dict[int, ShardFold] = {}
        refused: dict[int, LogError] = {}
        while left:
            folds, errors = self._effect([runs[0] for runs in left.values()])
            for shard, fold in folds.items():
                folded[shard] = folded[shard].followed_by(fold) if shard in folded else fold
            refused |= errors
            left = {shard: runs[1:] for shard, runs in left.items() if runs[1:] and shard not in errors}
        return folded, refused

    def _effect(self, validated: Sequence[ShardBatch]) -> tuple[dict[int, ShardFold], dict[int, LogError]]:
        """Fold batches, each without erasures or of these alone, and have all effects of it; see `__call__`."""
        wanted = {batch.shard: batch.wanted(self.stores.items) for batch in validated}
        transaction = self.stores.profiles.begin_all(wanted)
        folds: list[ShardFold] = []
        try:
            # 3. Fold.
            uncommitted, refused = self._fold(validated, transaction)
            folds = [fold for _, fold in uncommitted]
            # 4. Log.
            self.stores.log_dead([letter for fold in folds for letter in fold.dead])
            if self.stores.inputs:
                self.stores.inputs.log([fold.moments for fold in folds if fold.moments])
            # 5. Commit.
            self._commit(transaction, uncommitted)
        except ShardLost as error:
            return self._without_lost(validated, transaction, folds, error)
        finally:
            transaction.abandon()
        committed = {fold.batch.shard: fold for fold in folds}
        # 6. Write rows.
        self.stores.write_rows([(*user, fold.items) for fold in folds for user in fold.users])
        self.stores.profiles.set_visible_offsets({shard: fold.batch.last for shard, fold in committed.items()})
        return committed, refused

    def _without_lost(
        self, validated: Sequence[ShardBatch], transaction: Transaction, folds: Sequence[ShardFold], error: ShardLost
    ) -> tuple[dict[int, ShardFold], dict[int, LogError]]:
        """The same without the shards that another worker has changed, or that were closed.

        A shard in which nothing was to change is not lost: it is read again with the others.
        """
        moved = transaction.moved()
        lost = moved - {fold.batch.shard for fold in folds if not fold.changed} if moved else set(transaction.states)
        left = [batch for batch in validated if batch.shard not in lost]
        committed, refused = self._effect(left) if left else ({}, {})
        return committed, refused | dict.fromkeys(lost, error)

    def _fold(
        self, validated: Sequence[ShardBatch], transaction: Transaction
    ) -> tuple[list[Uncommitted], dict[int, LogError]]:
        """Fold batches into the state of their shards, in memory.

        Args:
            validated: the batches.
            transaction: the state that was read for them.

        Returns:
            The folds, and by partition why records of others are not in them.

        Raises:
            ShardLost: if another worker changes the items of a shard at this moment.
        """
        folds: list[Uncommitted] = []
        refused: dict[int, LogError] = {}
        for batch in validated:
            try:
                if (error := transaction.refused.get(batch.shard)) is not None:
                    raise error
                state = transaction.states[batch.shard]
                fold, missing = self._fold_one(state, batch)
            except Unreadable as error:
                refused[batch.shard] = Gap(str(error))
            except Closed as error:
                refused[batch.shard] = error
            else:
                if fold is not None:
                    folds.append((state, fold))
                if missing is not None:
                    refused[batch.shard] = missing
        return folds, refused

    def _fold_one(self, state: ShardState, batch: ShardBatch) -> tuple[ShardFold | None, LogError | None]:
        """Fold a batch into the state that was read for it; the error about records that are missing in it."""
        stores, shard = self.stores, batch.shard
        items = self.layers.take(shard, state) if batch.changed_items else self.layers.items(shard, state)
        unreadable = UnreadableState.of(state, items)
        readable, dead = batch.quarantine(unreadable)
        self._report_unreadable(dead)
        complete, missing = readable.to_first_missing(state.applied, self._read_runs)
        if complete.erased:
            if damaged := len(state.unreadable_users):
                message = "what is stored of erased users cannot be read; if it is still counted, `verify` says so"
                stores.troubles.report(STORED_VALUES, message, damaged)
            return erase_users(stores.schema, stores.profiles, state, complete, items), missing
        if not complete.records:
            return None, missing
        new, inputs = complete.offsets_after(state.applied), stores.inputs
        moments = inputs.begin(shard, new, items) if inputs and new else None
        known = Known(items, unreadable, self._most_waiting)
        fold = fold_batch(stores.schema, state, complete, known, moments)
        self._report_unreadable(fold.spoiled)
        return fold, missing

    def _report_unreadable(self, dead: Sequence[Dead]) -> None:
        """Report dead letters for the reason that what is stored cannot be read."""
        if dead:
            record, reason = dead[0]
            key = (record.key or b"").decode("latin-1")
            message = f"{reason}, so that its events are dead letters, the first one of user {key}"
            self.stores.troubles.report(STORED_VALUES, message, len(dead))

    def _commit(self, transaction: Transaction, uncommitted: Sequence[Uncommitted]) -> None:
        """Commit folds, all or none.

        Raises:
            ShardLost: if another worker has taken one of the shards, or it was closed.
            Unreachable: if Redis does not answer.
        """
        changed = {fold.batch.shard: (fold.batch.last, fold.changes) for _, fold in uncommitted if fold.changed}
        unwritten = transaction.commit(changed) if changed else {}
        for state, fold in uncommitted:
            shard = fold.batch.shard
            if fold.batch.changed_items and isinstance(fold.items, Layer):
                self.layers.put(shard, state.changes + fold.changes.current, fold.items)
            damaged = [*state.damaged, *([unwritten[shard]] if shard in unwritten else [])]
            if damaged:
                self.stores.troubles.report(STORED_VALUES, damaged[0], len(damaged))
