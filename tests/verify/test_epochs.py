"""A log whose keys were spread over fewer partitions before gives the state of one that always had as many as now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from offline.data import readers
from offline.data.split import split
from offline.state.snapshot import Beginning
from stores import Logged, partition_of
from stores.kafka.epochs import Epoch, Epochs
from tests.verify.test_oracle import ITEMS, MAX_FUTURE_S, RECORDS, USERS, WEEK, archive, settings_of
from verify.log import Expected
from verify.oracle import Oracle
from verify.sample import PROFILE

__all__ = ["archive"]

EVERYBODY = (*USERS, 9)
NUMBERS = (2, 3, 5)
"""Partitions of the log, in each epoch."""


class MemoryLog:
    """A log in memory, in the order in which Kafka may deliver it: the last partition first."""

    def __init__(self, records: Sequence[tuple[bytes | None, bytes | None]], cuts: Sequence[int]) -> None:
        self.records: dict[int, list[Logged]] = defaultdict(list)
        ended = []
        for place, (key, value) in enumerate(records):
            while len(ended) < len(cuts) and place >= cuts[len(ended)]:
                ended.append(self._epoch(NUMBERS[len(ended)]))
            number = NUMBERS[len(ended)] if cuts else NUMBERS[-1]
            partition = partition_of(int(key), number) if key else 0
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


def expected_of(archive: Path, log: MemoryLog) -> Expected:
    made = settings_of(archive)
    ratings = readers.load(made)
    beginning = Beginning.offline(ratings, split(ratings, made.data).offline, NUMBERS[-1])
    expected = Expected(beginning, ratings.catalogue.items, log, MAX_FUTURE_S)  # type: ignore[arg-type]
    expected.fold_to(log.ends())
    return expected


@settings(max_examples=80, deadline=None)
@given(records=RECORDS, cuts=st.lists(st.integers(0, 60), min_size=2, max_size=2).map(sorted))
def test_users_who_moved_between_partitions_have_the_state_of_those_who_never_did(
    archive: Path, records: list[tuple[bytes | None, bytes | None]], cuts: list[int]
) -> None:
    grown, never = (expected_of(archive, MemoryLog(records, each)) for each in (cuts, []))
    assert {userid: grown.user(userid) for userid in EVERYBODY} == {userid: never.user(userid) for userid in EVERYBODY}
    assert [grown.counters(shard) for shard in range(NUMBERS[-1])] == [
        never.counters(shard) for shard in range(NUMBERS[-1])
    ]
    assert sum(grown.dead, start=type(grown.dead[0])()) == sum(never.dead, start=type(never.dead[0])())
    assert grown.events == never.events


@settings(max_examples=80, deadline=None)
@given(records=RECORDS, cuts=st.lists(st.integers(0, 60), min_size=2, max_size=2).map(sorted))
def test_the_oracle_agrees_about_a_log_with_epochs(
    archive: Path, records: list[tuple[bytes | None, bytes | None]], cuts: list[int]
) -> None:
    log = MemoryLog(records, cuts)
    expected = expected_of(archive, log)
    epochs = [(epoch.partitions, epoch.ends) for epoch in log.epochs.ended]
    oracle = Oracle(archive, 2, NUMBERS[-1], EVERYBODY, ITEMS, MAX_FUTURE_S, epochs)
    log.seek(dict.fromkeys(log.ends(), 0))
    for stage in log.epochs.stages(log.ends()):
        for batch in log.read_to(stage):
            for record in batch:
                oracle.take(record.partition, record.offset, record.key, record.value, record.created)
    assert [len(offsets) for offsets in oracle.dead] == [sum(dead.values()) for dead in expected.dead]
    for userid in EVERYBODY:
        # Offsets of the newest epoch are 0 or more: -1 is a shard that has folded none of them.
        at = max(-1, log.ends()[expected.shard_of(userid)] - 1)
        told, known = oracle.profile(userid, at), expected.user(userid)
        assert (told is None) == (known is None)
        if told is not None and known is not None:
            assert told | {"recent": [tuple(each) for each in told["recent"]]} == {
                name: getattr(known[0], name) for name in PROFILE
            }
            assert oracle.seen(userid, at) == known[1]
        assert oracle.user_row(userid, at) == expected.user_row(userid)
    upto = [end - 1 for end in log.ends().values()]
    for itemid in ITEMS:
        assert oracle.item_row(itemid, upto) == expected.item_row(itemid)


@settings(max_examples=50, deadline=None)
@given(records=RECORDS, cuts=st.lists(st.integers(0, 60), min_size=2, max_size=2).map(sorted), data=st.data())
def test_every_record_of_a_user_is_in_one_of_the_users_homes(
    records: list[tuple[bytes | None, bytes | None]], cuts: list[int], data: st.DataObject
) -> None:
    log = MemoryLog(records, cuts)
    userid = data.draw(st.sampled_from(EVERYBODY))
    key = str(userid).encode()
    holding = {record.partition for some in log.records.values() for record in some if record.key == key}
    assert holding <= set(log.epochs.homes(userid))
