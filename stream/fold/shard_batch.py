"""One partition's records of a batch, and what folding them into its shard makes. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from features import Erasure, Event, EventError, Item, ItemCounter, Profile, Rated, User, count, fold, supersedes
from stores import Changes, Gap, LogError, Logged, ShardState, Skipped, decode_event
from stores.kafka.batch_headers import Run, holds_events, lost
from stores.kafka.log_check import WAY_OUT
from stores.kafka.record import Mark, fingerprint
from stream.fold.inputs import Moments

Valid = tuple[Logged, Event]
"""A record and its event."""

Erased = tuple[Logged, Erasure]
"""A record and the erasure that it is."""

Dead = tuple[Logged, str]
"""A record that cannot be folded, and the reason."""

PROFILE_UNREADABLE = "the stored profile of the user cannot be read"
"""Reason of a dead letter. It does not name the user, whom the letter's key does: reasons are counted and shown."""

ReadRuns = Callable[[int, int, int], Sequence[Run]]
"""Takes a partition, an offset and a later one; gives what the log accounts for between them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which a record is an event.

    Attributes:
        items: the catalogue.
        partitions: partitions of the topic.
        max_future_s: seconds by which an event may be later than its append time.
    """

    items: Mapping[int, Item]
    partitions: int
    max_future_s: float


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """A partition's records of a batch, each of them an event or a dead letter.

    Attributes:
        shard: the partition.
        records: consecutive records.
        valid: those that are events.
        dead: the others.
        erased: those that are erasures; a batch that is folded has either these or events (see `runs`).
        gone: those in the place of events of erased users, which change nothing.
    """

    shard: int
    records: Sequence[Logged]
    valid: Sequence[Valid]
    dead: Sequence[Dead]
    erased: Sequence[Erased] = ()
    gone: Sequence[Logged] = ()

    @classmethod
    def validate(cls, shard: int, records: Sequence[Logged], rules: Rules) -> ShardBatch:
        """Tell the events among some records from the dead letters."""
        items, partitions, max_future_s = rules.items, rules.partitions, rules.max_future_s
        valid: list[Valid] = []
        dead: list[Dead] = []
        erased: list[Erased] = []
        gone: list[Logged] = []
        for record in records:
            try:
                event = decode_event(record, items, partitions, max_future_s)
            except EventError as error:
                dead.append((record, str(error)))
            else:
                if isinstance(event, Event):
                    valid.append((record, event))
                elif event is not None:
                    erased.append((record, event))
                else:
                    gone.append(record)
        return cls(shard, records, valid, dead, erased, gone)

    def runs(self) -> list[ShardBatch]:
        """The batch in parts, each without an event or without an erasure, in the order of the log.

        An erasure needs all that the shard holds of its user, and so the events before it must be committed.
        """
        if not self.erased:
            return [self]
        kinds = sorted(
            [(record.offset, False) for record, _ in self.valid] + [(record.offset, True) for record, _ in self.erased]
        )
        cuts = [offset for (_, before), (offset, erases) in pairwise(kinds) if erases != before]
        begins, ends = [self.records[0].offset, *cuts], [*cuts, self.last + 1]
        return [self.between(begin, end) for begin, end in zip(begins, ends, strict=True)]

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """The pairs (userid, itemid) of the events, whose state the fold needs."""
        return {(event.userid, event.itemid) for _, event in self.valid}

    @property
    def userids(self) -> list[int]:
        """The users who are erased."""
        return sorted({erasure.userid for _, erasure in self.erased})

    @property
    def last(self) -> int:
        """Offset of the last record."""
        return self.records[-1].offset

    def offsets_after(self, applied: int) -> list[int]:
        """Offsets of the events after an offset."""
        return [record.offset for record, _ in self.valid if record.offset > applied]

    def between(self, begin: int, end: int) -> ShardBatch:
        """The records from an offset up to before another."""
        return replace(
            self,
            records=[record for record in self.records if begin <= record.offset < end],
            valid=[(record, event) for record, event in self.valid if begin <= record.offset < end],
            dead=[(record, reason) for record, reason in self.dead if begin <= record.offset < end],
            erased=[(record, erasure) for record, erasure in self.erased if begin <= record.offset < end],
            gone=[record for record in self.gone if begin <= record.offset < end],
        )

    def quarantine(self, state: ShardState, items: Mapping[int, Item]) -> tuple[ShardBatch, Sequence[Dead]]:
        """Make dead letters of the events that meet stored values which cannot be read.

        Returns:
            The batch, and the records that are dead letters for that reason.
        """
        users = state.unreadable_users | {
            userid
            for userid, profile in state.profiles.items()
            if not items.keys() >= {itemid for _, itemid, _ in profile.recent}
        }
        if not users and not state.unreadable_items:
            return self, ()
        valid: list[Valid] = []
        dead: list[Dead] = []
        for record, event in self.valid:
            if event.userid in users:
                dead.append((record, PROFILE_UNREADABLE))
            elif event.itemid in state.unreadable_items:
                dead.append((record, f"the stored counters of item {event.itemid} in {state.tag} cannot be read"))
            else:
                valid.append((record, event))
        return replace(self, valid=valid, dead=[*self.dead, *dead]), dead

    def to_first_missing(self, applied: int, read_runs: ReadRuns) -> tuple[ShardBatch, LogError | None]:
        """The records up to the first that is missing, and which are missing; None where none is.

        Args:
            applied: offset of the last record that the shard's state holds.
            read_runs: tells records that are lost from offsets that never held one.

        Returns:
            The error is `Gap` if the log lacks records, and `Skipped` if the log has them, but they were not delivered.
        """
        expected, holes = applied + 1, []
        for record in self.records:
            if record.offset > expected:
                holes.append((expected, record.offset))
            expected = max(expected, record.offset + 1)
        runs = read_runs(self.shard, holes[0][0], holes[-1][1]) if holes else ()
        for hole in holes:
            if holds_events(hole, runs):
                skipped = Skipped(
                    f"partition {self.shard}: the events at offsets {hole[0]} to {hole[1] - 1} were read before the "
                    "state went back to an older one; they are read again"
                )
                return self.between(0, hole[0]), skipped
            if missing := lost(hole, runs):
                gap = Gap(
                    f"partition {self.shard}: the log lacks the events at offsets {missing[0]} to {missing[1] - 1}, "
                    f"which the state needs next; {WAY_OUT}"
                )
                return self.between(0, hole[0]), gap
        return self, None


@dataclass(frozen=True, slots=True)
class ShardFold:
    """The result of folding a batch into a shard.

    Attributes:
        batch: the batch.
        changes: what is to be committed.
        users: the users of all its events, redelivered ones too, each as after the batch; their rows are to be written,
            and deleted where the user has no profile.
        applied: events, erasures and records without either that the state had not folded yet.
        dead: dead letters that the state had not counted yet.
        moments: the ranker's inputs before each event that counts; None where drift is not watched.
    """

    batch: ShardBatch
    changes: Changes
    users: Sequence[tuple[Profile, User]]
    applied: int
    dead: Sequence[Dead]
    moments: Moments | None

    @property
    def redelivered(self) -> int:
        """Records that the state had folded already."""
        return len(self.batch.records) - self.applied - len(self.dead)

    @property
    def changed(self) -> bool:
        """True if there is anything to commit."""
        return bool(self.applied or self.dead)

    def followed_by(self, later: ShardFold) -> ShardFold:
        """The result of both folds, to be reported as one."""
        batch = replace(later.batch, records=[*self.batch.records, *later.batch.records])
        return replace(later, batch=batch, applied=self.applied + later.applied, dead=[*self.dead, *later.dead])


def fold_batch(state: ShardState, batch: ShardBatch, items: Mapping[int, Item], moments: Moments | None) -> ShardFold:
    """Fold a batch into the state of its shard; records at or below its offset change nothing.

    Args:
        state: what the shard holds of the batch's users and items. It is taken over: its profiles and counters are
            folded in place, because copies would cost a tenth of the fold, and are those of the result.
        batch: the batch.
        items: the catalogue.
        moments: takes the moment before each event that counts.
    """
    applied, profiles, counters = state.applied, state.profiles, state.counters
    dead = [(record, reason) for record, reason in batch.dead if record.offset > applied]
    folded = sum(record.offset > applied for record in batch.gone)
    changed: dict[int, Profile] = {}
    counted: dict[int, ItemCounter] = {}
    rated: dict[tuple[int, int], Rated] = {}
    for record, event in batch.valid:
        if record.offset <= applied:
            continue
        folded += 1
        pair = event.userid, event.itemid
        known = rated.get(pair) or state.rated.get(pair)
        profile = profiles[event.userid]
        version = profile.version
        if supersedes(event, known):
            counter = counters[event.itemid]
            if moments is not None:
                moments.take(record, event, profile, state.users[event.userid], counter)
            count(counter, known, event)
            counted[event.itemid], rated[pair] = counter, (event.ts, event.rating)
        fold(profile, known, event, items[event.itemid])
        if profile.version != version:
            changed[event.userid] = profile
    tail = tail_of(batch.records[-1]) if batch.last > applied else None
    changes = Changes(changed, rated, counted, Counter(reason for _, reason in dead), tail)
    userids = sorted({event.userid for _, event in batch.valid})
    users = [(profiles[userid], state.users[userid]) for userid in userids]
    return ShardFold(batch, changes, users, folded, dead, moments)


def tail_of(record: Logged) -> Mark:
    """A record as the state remembers the last one folded into it."""
    return Mark(record.offset, fingerprint(record.created, record.key, record.value))
