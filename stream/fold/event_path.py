"""The path of an event through a stream worker, from the topic to the stores.

The order of effects, for the records of all partitions in a batch together:

    1. read         records that wait, from the topic
    2. validate     each record: an event, or a dead letter
    3. fold         the events, or the erasures, into the state of their shard, which is read for that; in memory
    4. log          dead letters to `ratings.dead`, then the ranker's inputs as they stood before each event to the
                    feature log; Kafka acknowledges both
    5. commit       one Redis transaction for each partition, guarded by the shard's `applied`: profiles, seen filters,
                    item counters, counts of dead letters, and `applied` itself
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
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import faust

from features import Item
from settings import Settings
from stores import Closed, Gap, LogError, Logged, Profiles, ShardLost, ShardTransaction, Skipped, Unreadable
from stream.consume.assignment import Assignment
from stream.consume.batches import acknowledge, batches, run_blocking
from stream.consume.log_guard import LogGuard
from stream.consume.progress import Progress
from stream.exit import end, end_unexpectedly
from stream.fold.erasures import erase_users
from stream.fold.shard_batch import ReadRuns, Rules, ShardBatch, ShardFold, fold_batch
from stream.fold.stores import FoldStores, FoldTopics
from stream.health import Health
from stream.redis_stores import RedisStores
from stream.troubles import STORED_VALUES

log = logging.getLogger("reelstream.stream")

Uncommitted = tuple[ShardTransaction, ShardFold]
"""A shard's fold, and the transaction that commits it."""


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

    @property
    def items(self) -> Mapping[int, Item] | None:
        """The catalogue that events are folded with; None before there is one."""
        return self._fold.items if self._fold else None

    async def follow(self, stream: faust.StreamT[bytes]) -> None:
        """Take the events of a stream to the stores, until the worker ends."""
        limits = self._settings.stream
        async for events in batches(stream, limits.batch_events, limits.batch_within_s):  # 1. read
            await run_blocking(self._take, events)  # 2. to 6.
            await acknowledge(stream, events)  # 7. acknowledge

    def _take(self, events: Sequence[Any]) -> None:
        """Take a batch of Faust's events to the stores; an error that retrying cannot fix ends the process."""
        records: dict[int, list[Logged]] = {}
        for event in events:
            message = event.message
            headers, created = tuple(message.headers or ()), message.timestamp or 0.0
            record = Logged(message.partition, message.offset, message.key, message.value, headers, created)
            records.setdefault(message.partition, []).append(record)
        try:
            folds = self.fold(records)
        except Skipped as error:
            end(str(error))
        except Exception as error:
            end_unexpectedly(error)
        else:
            now = time.time()
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
        if fold is None or fold.profiles is not self._stores.state.profiles:
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
        self._fold = Fold(stores, self._settings.stream.max_future_s, self._guard.runs)
        return self._fold


class Fold:
    """Folds batches once, with the effects in the order above.

    Args:
        stores: the stores.
        max_future_s: seconds by which an event may be later than its append time.
        read_runs: tells records that are lost from offsets that never held one.
    """

    def __init__(self, stores: FoldStores, max_future_s: float, read_runs: ReadRuns) -> None:
        self._stores, self._read_runs = stores, read_runs
        self._rules = Rules(stores.items, stores.profiles.partitions, max_future_s)

    @property
    def items(self) -> Mapping[int, Item]:
        """The catalogue."""
        return self._stores.items

    @property
    def profiles(self) -> Profiles:
        """The state."""
        return self._stores.profiles

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
        """Fold batches, each of events or of erasures alone, and have all effects of it; see `__call__`."""
        with ExitStack() as transactions:
            # 3. Fold.
            uncommitted, refused = self._fold(validated, transactions)
            folds = [fold for _, fold in uncommitted]
            # 4. Log.
            self._stores.log_dead([letter for fold in folds for letter in fold.dead])
            if self._stores.inputs:
                self._stores.inputs.log([fold.moments for fold in folds if fold.moments])
            # 5. Commit.
            lost = self._commit(uncommitted)
        committed = {fold.batch.shard: fold for fold in folds if fold.batch.shard not in lost}
        # 6. Write rows.
        self._stores.write_rows([user for fold in committed.values() for user in fold.users])
        self._stores.profiles.set_visible_offsets({shard: fold.batch.last for shard, fold in committed.items()})
        return committed, refused | lost

    def _fold(
        self, validated: Sequence[ShardBatch], transactions: ExitStack
    ) -> tuple[list[Uncommitted], dict[int, LogError]]:
        """Fold batches into the state of their shards, in memory.

        Args:
            validated: the batches.
            transactions: closes the transactions in which the state is read.

        Returns:
            The folds, and by partition why records of others are not in them.
        """
        folds: list[Uncommitted] = []
        refused: dict[int, LogError] = {}
        for batch in validated:
            try:
                transaction = self._stores.profiles.begin(batch.shard, batch.pairs, batch.userids)
            except Unreadable as error:
                refused[batch.shard] = Gap(str(error))
                continue
            except Closed as error:
                refused[batch.shard] = error
                continue
            transactions.callback(transaction.abandon)
            state = transaction.state
            readable, unreadable = batch.quarantine(state, self.items)
            if unreadable:
                record, reason = unreadable[0]
                key = (record.key or b"").decode("latin-1")
                message = f"{reason}, so that its events are dead letters, the first one of user {key}"
                self._stores.troubles.report(STORED_VALUES, message, len(unreadable))
            complete, missing = readable.to_first_missing(state.applied, self._read_runs)
            if missing is not None:
                refused[batch.shard] = missing
            if complete.erased and (damaged := len(state.unreadable_users)):
                message = "what is stored of erased users cannot be read; if counters kept ratings, `verify` says so"
                self._stores.troubles.report(STORED_VALUES, message, damaged)
            if complete.erased:
                folds.append((transaction, erase_users(self._stores.profiles, state, complete)))
            elif complete.records:
                new, inputs = complete.offsets_after(state.applied), self._stores.inputs
                moments = inputs.begin(batch.shard, new) if inputs and new else None
                folds.append((transaction, fold_batch(state, complete, self.items, moments)))
        return folds, refused

    def _commit(self, uncommitted: Sequence[Uncommitted]) -> dict[int, LogError]:
        """Commit folds, each or not at all; the shards that another worker has taken."""
        lost: dict[int, LogError] = {}
        for transaction, fold in uncommitted:
            damaged = list(transaction.state.damaged)
            try:
                if fold.changed and (unwritten := transaction.commit(fold.batch.last, fold.changes)):
                    damaged.append(unwritten)
            except ShardLost as error:
                lost[fold.batch.shard] = error
            if damaged:
                self._stores.troubles.report(STORED_VALUES, damaged[0], len(damaged))
        return lost
