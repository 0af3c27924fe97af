"""The fold of a batch of the log into the stores.

The order of effects, for the events of all partitions in the batch together:

    1. what cannot be understood goes to `ratings.dead`, acknowledged by Kafka;
    2. the ranker's inputs as they stood before each event go to the feature log, acknowledged by Kafka;
    3. one Redis transaction for each partition, guarded by the shard's `applied`: profiles, seen filters, item
       counters, counts of dead letters, and `applied` itself;
    4. the Feast rows of the batch's users, made from the state just written;
    5. `served`, which says that the rows are there;
    6. the offset is acknowledged to Kafka (in `stream.app`).

A crash between any two of them leads to redelivery. Events at or below `applied` change nothing, and their users' rows
are written again from the state. The feature log may hold an event twice, in the same words; its reader goes by
partition and offset.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from features import Event, EventError, Item, ItemCounter, Profile, Rated, Row, count, fold, user_row
from stores import (
    Changes,
    Gap,
    LogError,
    Logged,
    Profiles,
    ShardLost,
    ShardTransaction,
    Skipped,
    StoreError,
    Unreadable,
    decode_event,
)
from stores.feast.feature_store import Features
from stores.kafka.batch_headers import Run, holds_events, lost
from stores.kafka.log_check import WAY_OUT
from stores.kafka.record import Mark, fingerprint
from stream.fold.inputs import Batch, Inputs

log = logging.getLogger("reelstream.stream")

ReportDead = Callable[[Sequence[tuple[Logged, str]]], object]
"""Takes events with the reason why they are dead; returns once the log of dead letters has them."""

ReadRuns = Callable[[int, int, int], Sequence[Run]]
"""Takes a partition, an offset and a later one; gives what the log accounts for between them."""


def nothing(_partition: int, _first: int, _end: int) -> Sequence[Run]:
    """Account for no offset, so that every hole is an event that is lost."""
    return ()


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of a partition's events.

    Attributes:
        applied: events folded into the state.
        redelivered: events that the state held already.
        dead: events that could not be understood.
        last: offset of the last event.
        tail: the last event, if it was folded now.
    """

    applied: int
    redelivered: int
    dead: int
    last: int
    tail: Mark | None = None


@dataclass
class Part:
    """A partition's part of a batch.

    Attributes:
        shard: the partition.
        records: its events.
        transaction: the state that they touch.
        userids: users of those that are understood.
        new: of those, the ones that the state does not hold.
        dead: of the others, the ones that the state does not hold, with the reason.
        before: the moments before the new events, where drift is watched.
    """

    shard: int
    records: Sequence[Logged]
    transaction: ShardTransaction
    userids: set[int]
    new: list[tuple[Logged, Event]]
    dead: list[tuple[Logged, str]]
    before: Batch | None = None

    @property
    def last(self) -> int:
        """Offset of the last event."""
        return self.records[-1].offset

    def before_offset(self, offset: int) -> Part:
        """The same with the records before an offset only."""
        return replace(
            self,
            records=[record for record in self.records if record.offset < offset],
            new=[(record, event) for record, event in self.new if record.offset < offset],
            dead=[(record, reason) for record, reason in self.dead if record.offset < offset],
        )

    def became(self) -> Folded:
        """What became of it, once it is folded."""
        redelivered = len(self.records) - len(self.new) - len(self.dead)
        return Folded(len(self.new), redelivered, len(self.dead), self.last, self.tail)

    @property
    def tail(self) -> Mark | None:
        """The last event, if the state does not hold it yet."""
        last = self.records[-1]
        if last.offset <= self.transaction.applied:
            return None
        return Mark(last.offset, fingerprint(last.created, last.key, last.value))


class Fold:
    """Folds batches of one worker's partitions.

    Args:
        profiles: the state in Redis.
        features: the feature store.
        items: the catalogue.
        report_dead: where dead letters go.
        max_future_s: seconds by which an event may be later than its append time.
        inputs: makes the batches of the feature log; None where drift is not watched.
        read_runs: tells events that are lost from offsets that never held one.
        damaged: told of stored values that cannot be read or written, without which the fold goes on.
    """

    def __init__(
        self,
        profiles: Profiles,
        features: Features,
        items: Mapping[int, Item],
        report_dead: ReportDead,
        max_future_s: float,
        inputs: Inputs | None = None,
        read_runs: ReadRuns = nothing,
        damaged: Callable[[str, int], None] = lambda message, n: None,
    ) -> None:
        self._profiles = profiles
        self._features = features
        self._items = items
        self._report_dead = report_dead
        self._max_future_s = max_future_s
        self._inputs = inputs
        self._read_runs = read_runs
        self._damaged = damaged

    def __call__(self, batches: Mapping[int, Sequence[Logged]]) -> tuple[dict[int, Folded], dict[int, LogError]]:
        """Fold consecutive events of some partitions; all partitions wait for Kafka and the feature store together.

        Args:
            batches: events, at least one, by partition.

        Returns:
            What became of each partition's events, and why others could not be folded: `Gap` if the log lacks events,
            `Skipped` if some were not delivered, `ShardLost` if another worker has taken the shard. Events before those
            that are missing are folded.

        Raises:
            NotPublished: if a shard has no snapshot.
            Unreachable: if a store does not answer; the same batches may be given again.
        """
        refused: dict[int, LogError] = {}
        with ExitStack() as transactions:
            parts = []
            for shard, records in batches.items():
                try:
                    part = self._before_gap(self._begin(shard, records, transactions), refused)
                except Unreadable as error:
                    refused[shard] = Gap(str(error))
                    continue
                if part.records:
                    parts.append(part)
            if dead := [each for part in parts for each in part.dead]:
                self._report_dead(dead)
            folded = [(part, self._fold(part)) for part in parts if part.new or part.dead]
            if self._inputs:
                self._inputs.log([part.before for part, _ in folded if part.before])
            for part, changes in folded:
                try:
                    part.transaction.commit(part.last, changes)
                except ShardLost as error:
                    refused[part.shard] = error
        for part in parts:
            if part.transaction.damaged:
                self._damaged(part.transaction.damaged[0], len(part.transaction.damaged))
        parts = [part for part in parts if not isinstance(refused.get(part.shard), ShardLost)]
        self._write_rows(parts)
        self._profiles.set_visible_offsets({part.shard: part.last for part in parts})
        return {part.shard: part.became() for part in parts}, refused

    def _begin(self, shard: int, records: Sequence[Logged], transactions: ExitStack) -> Part:
        good: list[tuple[Logged, Event]] = []
        dead: list[tuple[Logged, str]] = []
        for record in records:
            try:
                event = decode_event(record, self._items, self._profiles.partitions, self._max_future_s)
                good.append((record, event))
            except EventError as error:
                dead.append((record, str(error)))
        transaction = self._profiles.begin(shard, {(event.userid, event.itemid) for _, event in good})
        transactions.callback(transaction.abandon)
        for userid, profile in transaction.profiles.items():
            if not self._items.keys() >= {itemid for _, itemid, _ in profile.recent}:
                transaction.unreadable[userid] = "it names items that are not in the catalogue"
        if transaction.unreadable or transaction.unreadable_items:
            good, quarantined = quarantine(good, transaction)
            dead += quarantined
            self._damaged(f"{quarantined[0][1]}, so that its events are dead letters", len(quarantined))
        return Part(
            shard,
            records,
            transaction,
            {event.userid for _, event in good},
            [(record, event) for record, event in good if record.offset > transaction.applied],
            [(record, reason) for record, reason in dead if record.offset > transaction.applied],
        )

    def _before_gap(self, part: Part, refused: dict[int, LogError]) -> Part:
        """The part up to the first event that is missing; `refused` then says which are."""
        expected, holes = part.transaction.applied + 1, []
        for record in part.records:
            if record.offset > expected:
                holes.append((expected, record.offset))
            expected = max(expected, record.offset + 1)
        runs = self._read_runs(part.shard, holes[0][0], holes[-1][1]) if holes else ()
        for hole in holes:
            if holds_events(hole, runs):
                refused[part.shard] = Skipped(
                    f"partition {part.shard}: the events at offsets {hole[0]} to {hole[1] - 1} were read before the "
                    "state went back to an older one; they are read again"
                )
                return part.before_offset(hole[0])
            if missing := lost(hole, runs):
                refused[part.shard] = Gap(
                    f"partition {part.shard}: the log lacks the events at offsets {missing[0]} to {missing[1] - 1}, "
                    f"which the state needs next; {WAY_OUT}"
                )
                return part.before_offset(hole[0])
        return part

    def _fold(self, part: Part) -> Changes:
        part.before = self._inputs.begin(part.shard, part.new) if self._inputs else None
        changes = fold_all(part.transaction, [event for _, event in part.new], self._items, part.before)
        changes.dead = Counter(reason for _, reason in part.dead)
        changes.tail = part.tail
        return changes

    def _write_rows(self, parts: Sequence[Part]) -> None:
        """Write the rows of the users; one that cannot be written is reported, and the others are written."""
        users = [(part.transaction, userid) for part in parts for userid in sorted(part.userids)]
        try:
            self._features.write_users([self._row(*user) for user in users])
            return
        except StoreError:
            raise
        except Exception as error:
            log.warning("the feature rows of a batch cannot be written together: %r", error)
        for transaction, userid in users:
            try:
                self._features.write_users([self._row(transaction, userid)])
            except StoreError:
                raise
            except Exception as error:
                self._damaged(f"the feature row of user {userid} cannot be written: {error!r}", 1)

    def _row(self, transaction: ShardTransaction, userid: int) -> tuple[int, Row]:
        return userid, user_row(transaction.profiles[userid], transaction.users[userid], self._items)


def quarantine(
    good: Sequence[tuple[Logged, Event]], transaction: ShardTransaction
) -> tuple[list[tuple[Logged, Event]], list[tuple[Logged, str]]]:
    """Events that can be folded into what is stored, and the records of the others with the reason."""
    why = [transaction.why_unreadable(event) for _, event in good]
    return (
        [each for each, reason in zip(good, why, strict=True) if reason is None],
        [(record, reason) for (record, _), reason in zip(good, why, strict=True) if reason is not None],
    )


def fold_all(
    transaction: ShardTransaction, events: Sequence[Event], items: Mapping[int, Item], before: Batch | None = None
) -> Changes:
    """Fold events, in this order, into the state that a transaction read; what changed is to be committed.

    Where it is given, `before` takes the moment before each event that counts.
    """
    rated: dict[tuple[int, int], Rated] = {}
    profiles: dict[int, Profile] = {}
    counters: dict[int, ItemCounter] = {}
    for place, event in enumerate(events):
        pair = event.userid, event.itemid
        known = rated.get(pair) or transaction.rated.get(pair)
        profile = transaction.profiles[event.userid]
        version = profile.version
        counter = transaction.counters[event.itemid]
        if before:
            before.before(place, profile, transaction.users[event.userid], counter)
        if fold(profile, known, event, items[event.itemid]):
            count(counter, known, event)
            rated[pair] = (event.ts, event.rating)
            counters[event.itemid] = counter
        elif before:
            before.drop()
        if profile.version != version:
            profiles[event.userid] = profile
    return Changes(profiles, rated, counters, {})
