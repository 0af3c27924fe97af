"""One partition's records of a batch: each validated, and erasures cut off from the others. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from features.changes import ItemChange, UserChange
from features.errors import EventError
from features.event import Erasure, Event
from features.ids import Id, ascending
from features.layer import Items
from features.profile import lacks
from features.schema import Schema
from stores import Gap, LogError, Logged, ShardState, Skipped, Wanted, decode_event
from stores.kafka.batch_headers import Run, holds_events, lost
from stores.kafka.log_check import WAY_OUT

Valid = tuple[Logged, Event | ItemChange | UserChange]
"""A record, and the event or the change that it is."""

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
        schema: of the data set.
        partitions: partitions of the topic.
        max_future_s: seconds by which an event may be later than its append time.
    """

    schema: Schema
    partitions: int
    max_future_s: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The values of a shard that cannot be read.

    Attributes:
        tag: the shard's hash tag.
        users: users whose profile or seen filter cannot be read, or says what the catalogue does not know.
        items: items whose counters cannot be read.
    """

    tag: str
    users: Container[Id]
    items: Container[Id]
    any: bool

    @classmethod
    def of(cls, state: ShardState, items: Items) -> Unreadable:
        """The unreadable values of a state whose catalogue has these items."""
        users = state.unreadable_users | {userid for userid, profile in state.profiles.items() if lacks(items, profile)}
        return cls(state.tag, users, state.unreadable_items, bool(users or state.unreadable_items))

    def reason(self, read: Event | ItemChange | UserChange) -> str | None:
        """The reason why an event or a change cannot be folded; None where it can be."""
        if isinstance(read, ItemChange):
            return None
        if read.userid in self.users:
            return PROFILE_UNREADABLE
        if isinstance(read, Event) and read.itemid in self.items:
            return f"the stored counters of item {read.itemid} in {self.tag} cannot be read"
        return None


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """A partition's records of a batch, each of them an event, a change, an erasure or a dead letter.

    A batch that is folded has either events and changes, or erasures (see `runs`).

    Attributes:
        shard: the partition.
        records: consecutive records.
        valid: those that are events, or changes of items or users.
        dead: those that are neither an event, nor a change, nor an erasure.
        erased: those that are erasures.
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
        """Tell the events, the changes and the erasures among some records from the dead letters."""
        schema, partitions, max_future_s = rules.schema, rules.partitions, rules.max_future_s
        valid: list[Valid] = []
        dead: list[Dead] = []
        erased: list[Erased] = []
        gone: list[Logged] = []
        for record in records:
            try:
                read = decode_event(record, schema, partitions, max_future_s)
            except EventError as error:
                dead.append((record, str(error)))
                continue
            if read is None:
                gone.append(record)
            elif isinstance(read, Erasure):
                erased.append((record, read))
            else:
                valid.append((record, read))
        return cls(shard, records, valid, dead, erased, gone)

    def runs(self) -> list[ShardBatch]:
        """The batch in parts, each with events and changes or with erasures alone, in the order of the log.

        An erasure takes all that the shard holds of its user; so what is before it must be committed.
        """
        if not self.erased:
            return [self]
        kinds = sorted(
            [(record.offset, False) for record, _ in self.valid] + [(record.offset, True) for record, _ in self.erased]
        )
        cuts = [offset for (_, before), (offset, kind) in pairwise(kinds) if kind != before]
        begins, ends = [self.records[0].offset, *cuts], [*cuts, self.last + 1]
        return [self.between(begin, end) for begin, end in zip(begins, ends, strict=True)]

    def wanted(self, catalogue: Container[Id]) -> Wanted:
        """The part of the shard's state that the fold takes.

        Args:
            catalogue: the published items; events of others may have to wait.
        """
        events = [event for _, event in self.valid if isinstance(event, Event)]
        changed = {change.userid for _, change in self.valid if isinstance(change, UserChange)}
        return Wanted(
            pairs={(event.userid, event.itemid) for event in events},
            userids=ascending({erasure.userid for _, erasure in self.erased} | changed),
            awaited={event.itemid for event in events if event.itemid not in catalogue},
            brought=self.changed_items,
        )

    @property
    def changed_items(self) -> set[Id]:
        """The items that change."""
        return {change.itemid for _, change in self.valid if isinstance(change, ItemChange)}

    @property
    def last(self) -> int:
        """Offset of the last record."""
        return self.records[-1].offset

    def offsets_after(self, applied: int) -> list[int]:
        """Offsets of the events after an offset."""
        return [record.offset for record, read in self.valid if record.offset > applied and isinstance(read, Event)]

    def between(self, begin: int, end: int) -> ShardBatch:
        """The records from an offset up to before another."""
        return replace(
            self,
            records=[record for record in self.records if begin <= record.offset < end],
            valid=[(record, read) for record, read in self.valid if begin <= record.offset < end],
            dead=[(record, reason) for record, reason in self.dead if begin <= record.offset < end],
            erased=[(record, erasure) for record, erasure in self.erased if begin <= record.offset < end],
            gone=[record for record in self.gone if begin <= record.offset < end],
        )

    def quarantine(self, unreadable: Unreadable) -> tuple[ShardBatch, Sequence[Dead]]:
        """Make dead letters of the events and changes that meet stored values which cannot be read.

        Returns:
            The batch, and the records that are dead letters for that reason.
        """
        if not unreadable.any:
            return self, ()
        valid: list[Valid] = []
        dead: list[Dead] = []
        for record, read in self.valid:
            if reason := unreadable.reason(read):
                dead.append((record, reason))
            else:
                valid.append((record, read))
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
