"""A log to which anything may happen, and a worker that folds it: whatever is lost is reported, the rest counts once.

The log is cut off, replaced by another, compacted, trimmed and poisoned between any two steps of a worker, on a real
Redis and Feast. The check of the log, the fold and the plan to go on are the ones that workers and `adopt` use.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from features import Event, EventError
from offline.state.adopt import plan
from settings import Settings
from stores import Gap, Logged, Profiles, Skipped, connect, decode_event, partition_of
from stores.feast.feature_store import Features
from stores.kafka.batch_headers import Run
from stores.kafka.log_check import Checked, LogBounds, LogIdentity, mismatch
from stores.kafka.record import Mark, fingerprint
from stores.redis.log_start import LogStart
from stores.redis.shard_log import ShardLogs
from stream.fold.event_path import Fold
from stream.fold.stores import FoldStores
from stream.troubles import Troubles
from tests.stream.model import counters_of, profile_of, seen_of
from tests.stream.samples import FILMS, Drawn
from tests.stream.test_exactly_once import BAD, COUNT, DRAWN, MAX_FUTURE_S, SHARD, SHARDS, bad_value

SCHEMA, ITEMS = FILMS.schema, FILMS.items

IDENTITIES = itertools.count()
CLOCK = itertools.count(1_000_000_000)
"""Append times, in unix seconds: later than those of all events."""


class Partition:
    """A partition of a log as Kafka keeps it.

    Attributes:
        records: by offset; a marker of a transaction is None.
        start, end: as Kafka tells them.
        lost: offsets, never folded, of records that are gone.
        noted, missed: what is noted of records in a file (`stores.kafka.log_heads`), until their loss is reported.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.replace()

    def replace(self) -> None:
        self.identity = LogIdentity("cluster", str(next(IDENTITIES)))
        self.records: dict[int, Logged | None] = {}
        self.start = self.end = 0
        self.lost: set[int] = set()
        self.forget()

    def forget(self) -> None:
        self.noted = {record.offset: Mark(record.offset, self.mark_of(record)) for record in self.events()}
        self.missed: Mark | None = None

    @staticmethod
    def mark_of(record: Logged) -> str:
        return fingerprint(record.created, record.key, record.value)

    def append(self, key: bytes | None, value: bytes | None) -> None:
        self.records[self.end] = Logged(self.number, self.end, key, value, created=float(next(CLOCK)))
        mark, known = Mark(self.end, self.fingerprint_at(self.end) or ""), self.noted.get(self.end)
        self.missed = self.missed or (known if known != mark else None)
        self.noted[self.end] = mark
        self.end += 1

    def append_marker(self) -> None:
        self.records[self.end] = None
        self.end += 1

    def cut(self, count: int, applied: int) -> None:
        """Lose the last records; which of them were never folded is remembered beside the log's own memory."""
        before, self.end = self.end, max(self.start, self.end - count)
        gone = [offset for offset in range(self.end, before) if self.records.pop(offset, None) is not None]
        self.lost |= {offset for offset in gone if offset > applied}

    def take(self, offset: int, applied: int) -> None:
        if self.records.pop(offset, None) is not None and offset > applied:
            self.lost.add(offset)

    def trim(self, start: int, applied: int) -> None:
        for offset in range(self.start, start):
            self.take(offset, applied)
        self.start = start

    def events(self) -> list[Logged]:
        return [record for _, record in sorted(self.records.items()) if record is not None]

    def runs(self, first: int, end: int) -> list[Run]:
        return [
            Run(offset, offset + 1, record is not None)
            for offset, record in sorted(self.records.items())
            if first <= offset < end
        ]

    def fingerprint_at(self, offset: int) -> str | None:
        record = self.records.get(offset)
        return None if record is None else self.mark_of(record)


class Worker:
    """A worker of one partition, as far as its place in the log is concerned."""

    def __init__(self, machine: AnyLog, shard: int) -> None:
        self.machine, self.shard = machine, shard
        self.position = machine.applied(shard) + 1
        self.stopped: str | None = None
        self.accepted = machine.logs.position(shard).lost
        self.check()

    def check(self) -> None:
        """Compare the log with the state, as before any batch that follows a time without Kafka."""
        self.checked = True
        self.stopped = self.machine.check(self.shard).why or self.stopped

    def fold(self, count: int) -> None:
        if not self.checked:
            self.check()
        if self.stopped:
            return
        log = self.machine.partitions[self.shard]
        if not log.start <= self.position <= log.end:
            self.position = log.start
        batch = [record for record in log.events() if record.offset >= self.position][:count]
        if not batch:
            return
        before = self.machine.applied(self.shard)
        _, refused = self.machine.fold({self.shard: batch})
        self.machine.note(self.shard, before)
        error = refused.get(self.shard)
        if isinstance(error, Gap):
            self.stopped = str(error)
        elif isinstance(error, Skipped):
            self.machine.workers[self.shard] = Worker(self.machine, self.shard)
        else:
            self.position = batch[-1].offset + 1


class AnyLog(RuleBasedStateMachine):
    """Two partitions and their workers."""

    settings: ClassVar[Settings]
    features: ClassVar[Features]

    @initialize()
    def begin(self) -> None:
        client = connect(self.settings.redis)
        client.flushall()
        self.profiles = Profiles(client, "ratings", SHARDS, schema=SCHEMA)
        self.logs = ShardLogs(self.profiles)
        self.partitions = [Partition(shard) for shard in range(SHARDS)]
        for partition in self.partitions:
            self.profiles.write_shard(partition.number, {}, {}, {}, [], LogStart(partition.identity))
        self.history: list[list[Logged]] = [[] for _ in range(SHARDS)]
        self.damaged = [False] * SHARDS
        self.dead: list[Logged] = []
        log_dead: Any = self.log_dead
        stores = FoldStores(SCHEMA, ITEMS, self.profiles, self.features, log_dead, Troubles(lambda kind, n: None))
        self.fold = Fold(stores, MAX_FUTURE_S, self.runs, waiting_events=10_000)
        self.workers = [Worker(self, shard) for shard in range(SHARDS)]

    def log_dead(self, dead: Sequence[tuple[Logged, str]]) -> Sequence[object]:
        self.dead.extend(record for record, _ in dead)
        return ()

    def runs(self, shard: int, first: int, end: int) -> Sequence[Run]:
        accepted = [Run(at, until, False) for at, until in self.workers[shard].accepted]
        return sorted([*self.partitions[shard].runs(first, end), *accepted], key=lambda run: run.first)

    def applied(self, shard: int) -> int:
        applied = self.profiles.applied()[shard]
        assert applied is not None
        return applied

    def check(self, shard: int) -> Checked:
        log, position = self.partitions[shard], self.logs.position(shard)
        bounds = LogBounds(shard, log.identity, log.start, log.end, log.end)
        tail, head = position.tail, max(log.noted.values(), key=lambda mark: mark.offset, default=None)
        found = None if tail is None else log.fingerprint_at(tail.offset)
        gone = head is not None and head.offset >= log.start and log.fingerprint_at(head.offset) != head.fingerprint
        return Checked(position, bounds, mismatch(position, bounds, found), log.missed or (head if gone else None))

    def note(self, shard: int, before: int) -> None:
        """Remember what was folded."""
        after = self.applied(shard)
        self.history[shard] += [each for each in self.partitions[shard].events() if before < each.offset <= after]

    def damage(self, shard: int, *, kafka_restarts: bool) -> None:
        self.damaged[shard] = True
        if kafka_restarts:
            for worker in self.workers:
                worker.checked = False

    @rule(drawn=st.lists(DRAWN, min_size=1, max_size=8), folded=st.booleans())
    def events_arrive(self, drawn: list[Drawn], folded: bool) -> None:
        for event in map(FILMS.event, drawn):
            self.partitions[partition_of(event.userid, SHARDS)].append(*SCHEMA.events.encode(event))
        for worker in list(self.workers) if folded else ():
            worker.fold(len(drawn))

    @rule(shard=SHARD, value=BAD)
    def a_bad_event_arrives(self, shard: int, value: bytes | str | None) -> None:
        self.partitions[shard].append(b"1", bad_value(FILMS, value))

    @rule(shard=SHARD)
    def a_transaction_ends(self, shard: int) -> None:
        self.partitions[shard].append_marker()

    @rule(shard=SHARD, count=COUNT)
    def a_batch_is_folded(self, shard: int, count: int) -> None:
        self.workers[shard].fold(count)

    @rule(shard=SHARD, back=COUNT)
    def events_are_delivered_again(self, shard: int, back: int) -> None:
        self.workers[shard].position = max(0, self.workers[shard].position - back)

    @rule(shard=SHARD)
    def a_worker_starts_over(self, shard: int) -> None:
        self.workers[shard] = Worker(self, shard)

    @rule(shard=SHARD)
    def a_worker_looks_at_the_log(self, shard: int) -> None:
        self.workers[shard].check()

    @rule(shard=SHARD, count=COUNT, more=st.lists(DRAWN, max_size=20))
    def the_log_loses_its_end_and_may_grow_beyond_it(self, shard: int, count: int, more: list[Drawn]) -> None:
        self.partitions[shard].cut(count, self.applied(shard))
        self.damage(shard, kafka_restarts=True)
        self.grow(shard, more)

    @rule(shard=SHARD, more=st.lists(DRAWN, max_size=20))
    def the_log_is_replaced(self, shard: int, more: list[Drawn]) -> None:
        self.partitions[shard].replace()
        self.damage(shard, kafka_restarts=True)
        self.grow(shard, more)

    def grow(self, shard: int, drawn: list[Drawn]) -> None:
        for event in map(FILMS.event, drawn):
            if partition_of(event.userid, SHARDS) == shard:
                self.partitions[shard].append(*SCHEMA.events.encode(event))

    @rule(shard=SHARD, data=st.data())
    def a_record_is_compacted_away(self, shard: int, data: st.DataObject) -> None:
        events = self.partitions[shard].events()[:-1]
        if events:
            chosen = data.draw(st.sampled_from([record.offset for record in events]))
            self.partitions[shard].take(chosen, self.applied(shard))
            self.damage(shard, kafka_restarts=False)

    @rule(shard=SHARD, count=COUNT)
    def the_log_is_trimmed(self, shard: int, count: int) -> None:
        log = self.partitions[shard]
        log.trim(min(log.end, log.start + count), self.applied(shard))
        self.damage(shard, kafka_restarts=False)

    @rule(shard=SHARD)
    def a_stopped_partition_is_adopted(self, shard: int) -> None:
        self.adopt(shard)

    def adopt(self, shard: int) -> None:
        checked, log = self.check(shard), self.partitions[shard]
        runs = log.runs(self.applied(shard) + 1, log.end)
        found = plan(shard, checked, 0, checked.bounds.start, runs)
        if found is not None:
            holes = [(first, last + 1) for first, last in found.lost]
            reported = {offset for first, end in holes for offset in range(first, end)}
            log.lost = set() if found.lost_after is not None else log.lost - reported
            log.forget()
            self.logs.adopt(shard, log.identity, found.next - 1, found.passed_over)
        self.workers[shard] = Worker(self, shard)

    @invariant()
    def the_state_is_what_the_records_folded_say(self) -> None:
        for shard in range(SHARDS):
            events = []
            for record in self.history[shard]:
                try:
                    event = decode_event(record, SCHEMA, SHARDS, MAX_FUTURE_S)
                except EventError:
                    assert record in self.dead
                    continue
                if isinstance(event, Event) and event.itemid in ITEMS:  # another one waits for its item
                    events.append(event)
            of_shard = [userid for userid in FILMS.users if partition_of(userid, SHARDS) == shard]
            stored = self.profiles.read_users(of_shard)
            assert {userid: seen for userid, (_, seen) in stored.items()} == seen_of(SCHEMA.codes, events)
            for userid, (profile, _) in stored.items():
                expected = profile_of(SCHEMA, [event for event in events if event.userid == userid], ITEMS)
                assert replace(profile, version=0) == expected
            assert self.profiles.shard_counters(shard) == counters_of(SCHEMA.codes, events)

    @invariant()
    def a_log_that_nothing_happened_to_is_never_stopped(self) -> None:
        for shard in range(SHARDS):
            assert self.damaged[shard] or self.workers[shard].stopped is None, self.workers[shard].stopped

    def teardown(self) -> None:
        if hasattr(self, "workers"):
            with closing(self.profiles.client):
                for shard in range(SHARDS):
                    self.all_that_the_log_holds_counts_and_all_that_it_lost_is_reported(shard)
                self.the_state_is_what_the_records_folded_say()

    def all_that_the_log_holds_counts_and_all_that_it_lost_is_reported(self, shard: int) -> None:
        for _ in range(4):
            self.workers[shard] = Worker(self, shard)
            for _ in range(len(self.partitions[shard].records) + 1):
                self.workers[shard].fold(5)
            if self.workers[shard].stopped is None:
                break
            self.adopt(shard)
        assert self.workers[shard].stopped is None
        assert all(record in self.history[shard] for record in self.partitions[shard].events())
        assert self.partitions[shard].lost == set()


def test_whatever_happens_to_a_log_is_reported_and_nothing_else_is_lost(redis: Settings) -> None:
    AnyLog.settings = redis
    AnyLog.features = Features(redis, SCHEMA)
    run_state_machine_as_test(
        AnyLog,
        settings=settings(
            max_examples=100,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.reuse, Phase.generate),
        ),
    )
