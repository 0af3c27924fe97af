"""A log whose keys were spread over fewer partitions before gives the state of one that always had as many as now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Event, EventError, Id, ItemChange
from offline.data.split import split
from offline.state.snapshot import Beginning
from stores import Logged
from stores.kafka.epochs import Epoch, Epochs
from stores.redis.packing import pack_profile
from tests.verify.worlds import MAX_FUTURE_S, PARTIAL, WAITING_EVENTS, WEEK, Record, World, partitions_of
from verify.log import Expected
from verify.oracle import Oracle

NUMBERS = (2, 3, 5)
"""Partitions of the log, in each epoch."""

CUTS = st.lists(st.integers(0, 60), min_size=2, max_size=2).map(sorted)


class MemoryLog:
    """A log in memory, in the order in which Kafka may deliver it: the last partition first."""

    def __init__(self, world: World, records: Sequence[Record], cuts: Sequence[int]) -> None:
        self.records: dict[int, list[Logged]] = defaultdict(list)
        ended = []
        for place, (key, value) in enumerate(records):
            while len(ended) < len(cuts) and place >= cuts[len(ended)]:
                ended.append(self._epoch(NUMBERS[len(ended)]))
            number = NUMBERS[len(ended)] if cuts else NUMBERS[-1]
            for partition in partitions_of(world, (key, value), number):
                appended = (0.0, 30.0 * WEEK, 2.0 * WEEK)[place % 3]
                of_partition = self.records[partition]
                of_partition.append(Logged(partition, len(of_partition), key, value, created=appended))
        while len(ended) < len(cuts):
            ended.append(self._epoch(NUMBERS[len(ended)]))
        self.epochs = Epochs(NUMBERS[-1], ended)
        self._at: dict[int, int] = {}

    def _epoch(self, number: int) -> Epoch:
        return Epoch(partitions=number, ends=tuple(len(self.records[partition]) for partition in range(number)))

    def ends(self) -> dict[int, int]:
        return {partition: len(self.records[partition]) for partition in range(NUMBERS[-1])}

    def seek(self, offsets: Mapping[int, int]) -> None:
        self._at = dict(offsets)

    def read_to(self, ends: Mapping[int, int]) -> Iterator[Sequence[Logged]]:
        for partition, end in sorted(ends.items(), reverse=True):
            at = self._at[partition]
            if at < end:
                self._at[partition] = end
                yield self.records[partition][at:end]


def expected_of(world: World, log: MemoryLog, waiting_events: int = 10_000) -> Expected:
    ratings = world.ratings
    places = split(ratings, world.settings.data).offline
    beginning = Beginning.offline(ratings, places, NUMBERS[-1], waiting_events)
    expected = Expected(world.schema, beginning, log, MAX_FUTURE_S)  # type: ignore[arg-type]
    expected.fold_to(log.ends())
    return expected


def waiting_in(expected: Expected, shard: int) -> dict[Id, list[Event]]:
    """The events that wait in a shard, user by user: the order of users is that of former partitions."""
    waiting = expected.waiting(shard)
    return {
        itemid: sorted((event for _, event in some), key=lambda event: event.userid) for itemid, some in waiting.items()
    }


def change_of(world: World, record: Record) -> int | None:
    """The version of the change of an item that a record is; None where it is none."""
    try:
        said = world.schema.events.decode(*record)
    except EventError:
        return None
    return said.version if isinstance(said, ItemChange) else None


@settings(max_examples=50, deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_users_who_moved_between_partitions_have_the_state_of_those_who_never_did(
    world: World, data: st.DataObject, cuts: list[int]
) -> None:
    records = [record for record in data.draw(world.records) if change_of(world, record) != PARTIAL]
    grown, never = (expected_of(world, MemoryLog(world, records, each)) for each in (cuts, []))
    assert {userid: grown.user(userid) for userid in world.users} == {
        userid: never.user(userid) for userid in world.users
    }
    for shard in range(NUMBERS[-1]):
        assert grown.counters(shard) == never.counters(shard)
        assert grown.layer(shard) == never.layer(shard)
        assert {*grown.users(shard)} == {*never.users(shard)}
        assert waiting_in(grown, shard) == waiting_in(never, shard)
    assert sum(grown.dead, start=type(grown.dead[0])()) == sum(never.dead, start=type(never.dead[0])())
    assert grown.events - grown.changes == never.events - never.changes


@settings(max_examples=50, deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_the_oracle_agrees_about_a_log_with_epochs(world: World, data: st.DataObject, cuts: list[int]) -> None:
    log = MemoryLog(world, data.draw(world.records), cuts)
    expected = expected_of(world, log, WAITING_EVENTS)
    epochs = [(epoch.partitions, epoch.ends) for epoch in log.epochs.ended]
    oracle = Oracle(world.history(), NUMBERS[-1], world.users, world.items, MAX_FUTURE_S, epochs, WAITING_EVENTS)
    log.seek(dict.fromkeys(log.ends(), 0))
    for stage in log.epochs.stages(log.ends()):
        for batch in log.read_to(stage):
            for record in batch:
                oracle.take(record.partition, record.offset, record.key, record.value, record.created)
    assert [len(offsets) for offsets in oracle.dead] == [sum(dead.values()) for dead in expected.dead]
    for userid in world.users:
        # Offsets of the newest epoch are 0 or more: -1 is a shard that has folded none of them.
        at = max(-1, log.ends()[expected.shard_of(userid)] - 1)
        told, known = oracle.profile(userid, at), expected.user(userid)
        assert (told is None) == (known is None)
        if told is not None and known is not None:
            profile, seen = known
            assert [*told.values()] == msgpack.unpackb(pack_profile(profile))[: len(told)]
            assert oracle.counted(userid, at) == sorted([*event, number] for event, number in profile.counted.items())
            assert {itemid: tuple(events) for itemid, events in oracle.seen(userid, at).items()} == seen
        assert oracle.user_row(userid, at) == expected.user_row(userid)
    for shard in range(NUMBERS[-1]):
        assert oracle.waiting(shard) == {itemid: len(some) for itemid, some in expected.waiting(shard).items()}
        for itemid in world.items:
            changed, at = expected.layer(shard).changed.get(itemid), log.ends()[shard] - 1
            wanted = changed and (changed.version, changed.withdrawn, changed.content[0])
            decided = oracle.changed(shard, itemid, at)
            assert (decided and tuple(decided.values())) == wanted
    upto = [end - 1 for end in log.ends().values()]
    for itemid in world.items:
        assert oracle.item_row(itemid, upto) == expected.item_row(itemid)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_every_record_of_a_user_is_in_one_of_the_users_homes(
    world: World, data: st.DataObject, cuts: list[int]
) -> None:
    log = MemoryLog(world, data.draw(world.records), cuts)
    userid = data.draw(st.sampled_from(world.users))
    key = str(userid).encode()
    holding = {
        record.partition
        for some in log.records.values()
        for record in some
        if record.key == key and change_of(world, (record.key, record.value)) is None
    }
    assert holding <= set(log.epochs.homes(userid))
