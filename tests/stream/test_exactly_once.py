"""Sequences of events, redeliveries, evictions, crashes between any two effects and rebalances, on a real Redis.

After each step the state is what the folded events say in the order of the log (invariants 3 to 5), and at the end
nothing is missing.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from features import Erasure, Event, EventError, Id, IdKind, ascending, id_text, user_row
from features.waiting import TOO_MANY
from lifecycle.catch_up import without_letters
from settings import Settings
from stores import Closed, Gap, Logged, ShardLost, connect, decode_event, partition_of, view_shard
from stores.evicted import EvictedUsers
from stores.feast.feature_store import Features
from stores.feast.online_rows import OnlineRows
from stores.redis.eviction import evict
from stores.redis.generations import FIRST
from stores.redis.shard_transaction import waiting_events
from stream.fold.event_path import Fold
from stream.fold.stores import FoldStores
from stream.troubles import Troubles
from tests.stream.crashes import EFFECTS, Crash, Crashing, CrashingFeatures, CrashingProfiles, DeadTopic
from tests.stream.model import counters_of, profile_of, seen_of
from tests.stream.samples import FILMS, GOODS, Drawn, Sample

SHARDS = 2
WEEK = 7 * 86_400
MAX_FUTURE_S = 86_400.0
WAITING_EVENTS = 3
APPENDED = 21 * WEEK
"""Time at which Kafka appended every record."""

DRAWN = st.tuples(
    st.integers(0, 4),
    st.integers(0, 2),
    st.integers(0, 4),
    st.sampled_from([0, 1, 2, WEEK, 8 * WEEK, 20 * WEEK, APPENDED + 86_400, APPENDED + 86_401, 2**32 - 1]),
)
USER = st.integers(0, 4)
BAD = st.sampled_from([b"not JSON", b"{}", None, "an item that nobody knows"])


def bad_value(sample: Sample, value: bytes | str | None) -> bytes | None:
    """The value of a bad record: `value`, or if it is a text, an event of an unknown item."""
    if not isinstance(value, str):
        return value
    unknown: Id = 99 if sample.schema.item_ids is IdKind.INTEGER else "99"
    return sample.schema.events.encode(Event(sample.users[0], unknown, 1, 1))[1]


SHARD = st.integers(0, SHARDS - 1)
COUNT = st.integers(1, 6)


class Stream(RuleBasedStateMachine):
    """Two partitions, one worker each, and everything that can happen to them."""

    settings: ClassVar[Settings]
    sample: ClassVar[Sample]
    features: ClassVar[Features]
    rows: ClassVar[OnlineRows]

    @initialize()
    def begin(self) -> None:
        client = connect(self.settings.redis)
        client.flushall()
        self.crashing = Crashing()
        self.client, self.generation = client, 1
        self.profiles = self.profiles_of(FIRST)
        self.profiles.delete_all()
        self.dead = DeadTopic(self.crashing)
        for shard in range(SHARDS):
            self.profiles.write_shard(shard, {}, {}, {}, [])
        self.log: list[list[Logged]] = [[] for _ in range(SHARDS)]
        self.acknowledged = [0] * SHARDS
        self.visible = [-1] * SHARDS
        self.folds = [self.new_worker() for _ in range(SHARDS)]

    def profiles_of(self, generation: str) -> CrashingProfiles:
        evicted = EvictedUsers(self.settings.evicted_folder, generation)
        profiles = CrashingProfiles(self.client, "ratings", SHARDS, generation, evicted, self.sample.schema)
        profiles.crashing = self.crashing
        return profiles

    def new_worker(self) -> Fold:
        features: Any = CrashingFeatures(self.features, self.crashing)
        dead: Any = self.dead
        troubles = Troubles(lambda kind, n: None)
        stores = FoldStores(self.sample.schema, self.sample.items, self.profiles, features, dead, troubles)
        return Fold(stores, MAX_FUTURE_S, lambda shard, first, end: (), waiting_events=WAITING_EVENTS)

    def append(self, shard: int, key: bytes | None, value: bytes | None) -> None:
        self.log[shard].append(Logged(shard, len(self.log[shard]), key, value, (), APPENDED))

    def applied(self, shard: int) -> int:
        applied = self.profiles.applied()[shard]
        assert applied is not None
        return applied

    @rule(drawn=st.lists(DRAWN, min_size=1, max_size=5))
    def events_arrive(self, drawn: list[Drawn]) -> None:
        for event in map(self.sample.event, drawn):
            self.append(partition_of(event.userid, SHARDS), *self.sample.schema.events.encode(event))

    @rule(user=USER)
    def a_user_is_erased(self, user: int) -> None:
        userid = self.sample.users[user]
        self.append(partition_of(userid, SHARDS), *self.sample.schema.events.encode(Erasure(userid)))

    @rule(user=USER, shard=SHARD, value=BAD)
    def a_bad_event_arrives(self, user: int, shard: int, value: bytes | str | None) -> None:
        self.append(shard, id_text(self.sample.users[user]).encode(), bad_value(self.sample, value))

    @rule(drawn=DRAWN)
    def an_event_arrives_in_the_wrong_partition(self, drawn: Drawn) -> None:
        event = self.sample.event(drawn)
        self.append(1 - partition_of(event.userid, SHARDS), *self.sample.schema.events.encode(event))

    @rule(shard=SHARD, count=COUNT)
    def a_batch_is_folded(self, shard: int, count: int) -> None:
        self.fold(shard, count)

    @rule(shard=SHARD, count=COUNT, effect=st.sampled_from(EFFECTS), after=st.booleans())
    def a_worker_dies_in_a_batch(self, shard: int, count: int, effect: str, after: bool) -> None:
        self.crashing.at = effect, after
        try:
            self.fold(shard, count)
        except Crash:
            self.folds[shard] = self.new_worker()
        finally:
            self.crashing.at = None

    @rule(shard=SHARD, back=COUNT)
    def events_are_delivered_again(self, shard: int, back: int) -> None:
        self.acknowledged[shard] = max(0, self.acknowledged[shard] - back)

    @rule(shard=SHARD, count=COUNT, others=COUNT)
    def a_partition_goes_to_another_worker_in_the_middle_of_a_batch(self, shard: int, count: int, others: int) -> None:
        old, began, before = self.folds[shard], self.acknowledged[shard], self.applied(shard)
        self.folds[shard] = self.new_worker()
        wrote: list[bool] = []

        def other_goes_on() -> None:
            self.fold(shard, others)
            wrote.append(self.applied(shard) > before)

        self.crashing.meanwhile = other_goes_on
        batch = self.log[shard][began : began + count]
        # Beside it stands a partition that the old worker keeps, whose events are folded all the same.
        other = 1 - shard
        batches = {other: self.log[other][self.acknowledged[other] :], shard: batch}
        try:
            _, refused = old({each: records for each, records in batches.items() if records})
            # What the state held before changes nothing, and so does not meet the other worker.
            new = any(record.offset > before for record in batch)
            # Erasures in a batch are folded by themselves, and the worker may have been done with what came before.
            lost = isinstance(refused.get(shard), ShardLost)
            assert lost == (new and wrote == [True]) or (self.erases(batch) and not refused)
            assert other not in refused
            self.acknowledged[other] += len(batches[other])
        finally:
            self.crashing.meanwhile = None

    @rule(shard=SHARD, users=st.sets(USER, min_size=1))
    def users_are_evicted(self, shard: int, users: set[int]) -> None:
        self.evict(shard, {self.sample.users[user] for user in users})

    @staticmethod
    def erases(batch: list[Logged]) -> bool:
        return any(record.value is not None and b'"erase"' in record.value for record in batch)

    def evict(self, shard: int, userids: set[Id]) -> None:
        of_shard = ascending(userid for userid in userids if partition_of(userid, SHARDS) == shard)
        in_redis = [userid for userid in of_shard if self.client.exists(self.key(shard, userid))]
        assert evict(self.profiles, self.rows, shard, of_shard) == len(in_redis)
        assert not any(self.client.exists(self.key(shard, userid)) for userid in of_shard)

    def key(self, shard: int, userid: Id) -> str:
        return f"{self.profiles.tag(shard)}:profile:{userid}"

    @rule(shard=SHARD, count=COUNT)
    def users_are_evicted_in_the_middle_of_a_batch(self, shard: int, count: int) -> None:
        began, before = self.acknowledged[shard], self.applied(shard)
        batch = self.log[shard][began : began + count]
        gone: list[bool] = []

        def evict_all() -> None:
            known = [userid for userid in self.sample.users if self.client.exists(self.key(shard, userid))]
            self.evict(shard, set(known))
            gone.append(bool(known))

        self.crashing.meanwhile = evict_all
        if batch:
            _, refused = self.folds[shard]({shard: batch})
            new = any(record.offset > before for record in batch)
            lost = isinstance(refused.get(shard), ShardLost)
            assert lost == (new and gone == [True]) or (self.erases(batch) and not refused)
            if not refused:
                self.acknowledged[shard] += len(batch)
        self.crashing.meanwhile = None

    @precondition(lambda self: any(len(log) > 1 for log in self.log))
    @rule(shard=SHARD)
    def a_gap_is_refused(self, shard: int) -> None:
        beyond = self.applied(shard) + 2
        if beyond < len(self.log[shard]):
            folded, refused = self.folds[shard]({shard: self.log[shard][beyond:]})
            assert not folded and isinstance(refused[shard], Gap)

    @rule(shard=SHARD, count=COUNT)
    def another_generation_of_the_state_goes_live(self, shard: int, count: int) -> None:
        old, workers = self.profiles, self.folds
        self.generation += 1
        self.profiles = self.profiles_of(f"g{self.generation}")
        self.profiles.delete_all()
        features: Any = self.features
        troubles = Troubles(lambda kind, n: None)
        stores = FoldStores(self.sample.schema, self.sample.items, self.profiles, features, without_letters, troubles)
        catching_up = Fold(stores, MAX_FUTURE_S, lambda shard, first, end: (), waiting_events=WAITING_EVENTS)
        old.close(60)
        for each in range(SHARDS):
            self.profiles.write_shard(each, {}, {}, {}, [])
            if folded := self.log[each][: (old.applied()[each] or 0) + 1]:
                assert not catching_up({each: folded})[1]
        assert self.profiles.applied() == old.applied()
        # A worker that does not know it yet is refused, and folds the same records into the new one.
        began = self.acknowledged[shard]
        if batch := self.log[shard][began : began + count]:
            folds, refused = workers[shard]({shard: batch})
            assert not folds and isinstance(refused[shard], Closed)
        self.folds = [self.new_worker() for _ in range(SHARDS)]
        self.fold(shard, count)

    @rule(count=COUNT, effect=st.sampled_from(EFFECTS), times=st.integers(1, 2), after=st.booleans())
    def a_worker_of_both_dies_in_a_batch(self, count: int, effect: str, times: int, after: bool) -> None:
        self.folds = [self.folds[0]] * SHARDS
        self.crashing.at, self.crashing.times = (effect, after), times
        batches = {shard: self.log[shard][at : at + count] for shard, at in enumerate(self.acknowledged)}
        try:
            self.give(self.folds[0], {shard: batch for shard, batch in batches.items() if batch})
        except Crash:
            self.folds = [self.new_worker() for _ in range(SHARDS)]
        finally:
            self.crashing.at, self.crashing.times = None, 1

    def fold(self, shard: int, count: int) -> None:
        began = self.acknowledged[shard]
        batch = self.log[shard][began : began + count]
        if batch:
            self.give(self.folds[shard], {shard: batch})

    def give(self, fold: Fold, batches: dict[int, list[Logged]]) -> None:
        folded, refused = fold(batches)
        assert not refused and set(folded) == set(batches)
        for shard, batch in batches.items():
            self.acknowledged[shard] += len(batch)

    def good(self, shard: int) -> tuple[list[Event], list[Event], list[tuple[int, int, str]]]:
        """The parts of a shard's log: events of known items, events that wait for others, and dead letters.

        Neither kind of events has those of users who were erased later.
        """
        events: list[Event] = []
        waiting: list[Event] = []
        dead: list[tuple[int, int, str]] = []
        for record in self.log[shard][: self.applied(shard) + 1]:
            try:
                event = decode_event(record, self.sample.schema, SHARDS, MAX_FUTURE_S)
            except EventError as error:
                dead.append((shard, record.offset, str(error)))
                continue
            if isinstance(event, Erasure):
                events = [each for each in events if each.userid != event.userid]
                waiting = [each for each in waiting if each.userid != event.userid]
            elif isinstance(event, Event) and event.itemid in self.sample.items:
                events.append(event)
            elif isinstance(event, Event) and len(waiting) < WAITING_EVENTS:
                waiting.append(event)
            elif isinstance(event, Event):
                dead.append((shard, record.offset, TOO_MANY))
        return events, waiting, dead

    @invariant()
    def the_state_is_what_the_folded_events_say(self) -> None:
        counted: Counter[str] = Counter()
        schema, items = self.sample.schema, self.sample.items
        for shard in range(SHARDS):
            assert self.applied(shard) >= self.acknowledged[shard] - 1
            events, waiting, dead = self.good(shard)
            counted.update(reason for _, _, reason in dead)
            assert set(dead) <= set(self.dead.told)
            of_shard = [userid for userid in self.sample.users if partition_of(userid, SHARDS) == shard]
            stored = self.profiles.read_users(of_shard)
            assert {userid: seen for userid, (_, seen) in stored.items()} == seen_of(schema.codes, events)
            for userid, (profile, _) in stored.items():
                expected = profile_of(schema, [event for event in events if event.userid == userid], items)
                assert replace(profile, version=0) == expected
            assert self.profiles.shard_counters(shard) == counters_of(schema.codes, events)
            view = view_shard(self.profiles, shard)
            kept = [event for entries in view.waiting.values() for _, event in waiting_events(schema, entries)]
            assert kept == waiting and view.waits == len(waiting)
        assert self.profiles.dead() == dict(counted)

    @invariant()
    def what_is_served_is_never_taken_back(self) -> None:
        for shard in range(SHARDS):
            visible = self.profiles.visible_offset(shard)
            assert self.visible[shard] <= visible <= self.applied(shard)
            self.visible[shard] = visible

    def teardown(self) -> None:
        if hasattr(self, "log"):
            with closing(self.profiles.client):
                self.everything_is_folded_at_the_end()

    def everything_is_folded_at_the_end(self) -> None:
        for shard in range(SHARDS):
            self.fold(shard, len(self.log[shard]))
            assert self.applied(shard) == len(self.log[shard]) - 1
        self.the_state_is_what_the_folded_events_say()
        assert self.profiles.visible_offsets() == [len(log) - 1 for log in self.log]
        schema, users = self.sample.schema, self.sample.users
        stored = self.profiles.read_users(users)
        rows, evicted = self.features.users(users), self.profiles.evicted_among(users)
        assert rows == {
            userid: user_row(schema, profile, schema.user(userid), self.sample.items)
            for userid, (profile, _) in stored.items()
            if userid not in evicted or userid in rows
        }


@pytest.mark.parametrize(("sample", "examples"), [(FILMS, 40), (GOODS, 25)], ids=["films", "goods"])
def test_every_event_counts_once_whatever_happens(redis: Settings, sample: Sample, examples: int) -> None:
    Stream.settings, Stream.sample = redis, sample
    Stream.features = Features(redis, sample.schema)
    Stream.rows = OnlineRows(connect(redis.redis), redis.feast.project)
    run_state_machine_as_test(
        Stream,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
