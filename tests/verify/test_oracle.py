"""The oracle against the fold, on any events in any order: two folds that share no code give one state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import (
    DENSE_COLUMNS,
    ITEM_FEATURES,
    USER_FEATURES,
    Erasure,
    Event,
    EventError,
    dense,
    encode,
    item_row,
    merge,
    user_row,
)
from features.columns import Before, ItemTable
from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import split
from offline.state.archived_history import archive_history
from offline.state.snapshot import Shards
from settings import Settings, load
from stores import Logged, decode_event, partition_of
from stores.archive.history import HISTORY
from verify.inputs import OF_ITEM_COUNTS, LoggedInput, expected_row
from verify.oracle import Oracle
from verify.sample import COUNTER, PROFILE, counts_without_oracle

PARTITIONS = 2
USERS, ITEMS = (1, 2, 3), (1, 2, 3, 4)
WEEK = 7 * 86_400
MOVIES = """1::One (1994)::Action|Animation
2::Two (1899)::Drama
3::Three (2000)::War|Comedy|Drama
4::Four (2031)::Western
"""
PEOPLE = "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n"
MAX_FUTURE_S = 10.0 * WEEK
TIMES = [0, 1, 2, WEEK, 8 * WEEK, 20 * WEEK]

EVENTS = st.builds(
    Event, st.sampled_from((*USERS, 9)), st.sampled_from(ITEMS), st.integers(1, 5), st.sampled_from(TIMES)
)
BAD = st.sampled_from(
    [
        (b"1", None),
        (b"1", b"not JSON"),
        (b"1", b"[]"),
        (b"1", b'{"userid": true, "itemid": 1, "rating": 5, "ts": 1}'),
        (b"1", b'{"userid": 1, "itemid": 1, "rating": 5.0, "ts": 1}'),
        (b"2", b'{"userid": 1, "itemid": 1, "rating": 5, "ts": 1}'),
        (b"1", b'{"userid": 1, "itemid": 99, "rating": 5, "ts": 1}'),
        (b"1", b'{"userid": 1, "itemid": 1, "rating": 6, "ts": 1}'),
        (b"1", b'{"userid": 1, "itemid": 1, "rating": 5, "ts": 4294967296}'),
        (None, b'{"userid": 1, "itemid": 1, "rating": 5, "ts": 1}'),
        (b"1", b'{"schema_version": 2, "userid": 1, "itemid": 1, "rating": 5, "ts": 1}'),
        (b"2", b'{"schema_version": 2, "userid": 1, "erase": true}'),
        (b"1", b'{"schema_version": 2, "userid": 1, "erase": 1}'),
    ]
)
ERASURES = st.builds(Erasure, st.sampled_from((*USERS, 9)))
RECORDS = st.lists(
    st.one_of(EVENTS.map(encode), EVENTS.map(encode), EVENTS.map(encode), BAD, ERASURES.map(encode)), max_size=60
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive in which ratings share seconds and are not in the order of time."""
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(3)
    lines = []
    for userid in USERS:
        for _ in range(6):
            lines.append(f"{userid}::{rng.integers(1, 5)}::{rng.integers(1, 6)}::{TIMES[rng.integers(0, 4)]}")
    (folder / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "movies.dat").write_text(MOVIES, encoding="latin-1")
    (folder / "users.dat").write_text(PEOPLE, encoding="latin-1")
    return folder


@pytest.fixture(scope="module")
def tables(archive: Path) -> Path:
    """The same as the archive of a system keeps it."""
    made = settings_of(archive)
    ratings = readers.load(made)
    archive_history(made, ratings, readers.data_hash(ratings))
    return made.archive_folder / HISTORY


def settings_of(folder: Path) -> Settings:
    return load(data={"folder": str(folder), "online_events": 2}, state_dir=folder)


def folded(ratings: Ratings, shards: Shards, records: list[tuple[bytes | None, bytes | None]], oracle: Oracle) -> int:
    """Fold records with both; how many are dead."""
    dead = 0
    for offset, (key, value) in enumerate(records):
        shard = partition_of(int(key), PARTITIONS) if key else 0
        # At every third offset an event of the last of TIMES is one from the future.
        appended = (0.0, 30.0 * WEEK, 2.0 * WEEK)[offset % 3]
        record = Logged(shard, offset, key, value, created=appended)
        oracle.take(shard, offset, key, value, appended)
        try:
            event = decode_event(record, ratings.catalogue.items, PARTITIONS, MAX_FUTURE_S)
        except EventError:
            dead += 1
        else:
            shards.states[shard].take(event)
    return dead


@settings(max_examples=150, deadline=None)
@given(records=RECORDS, from_tables=st.booleans())
def test_two_folds_that_share_no_code_give_one_state(
    archive: Path, tables: Path, records: list[tuple[bytes | None, bytes | None]], from_tables: bool
) -> None:
    made = settings_of(archive)
    ratings = readers.load(made)
    shards = Shards.after(ratings, split(ratings, made.data).offline, PARTITIONS)
    oracle = Oracle(tables if from_tables else archive, 2, PARTITIONS, {*USERS, 9}, ITEMS, MAX_FUTURE_S)
    dead = folded(ratings, shards, records, oracle)
    assert sum(map(len, oracle.dead)) == dead
    at = len(records)
    for userid in (*USERS, 9):
        state = shards.states[partition_of(userid, PARTITIONS)]
        profile = state.profiles.get(userid)
        if profile is None:
            assert oracle.profile(userid, at) is oracle.user_row(userid, at) is None
            continue
        told = oracle.profile(userid, at)
        assert told is not None
        told["recent"] = [tuple(each) for each in told["recent"]]
        assert told == {name: getattr(profile, name) for name in PROFILE}
        assert oracle.seen(userid, at) == state.seen[userid]
        assert oracle.user_row(userid, at) == user_row(profile, state.user(userid), ratings.catalogue.items)
    for itemid in ITEMS:
        for shard, state in enumerate(shards.states):
            counter = state.counters.get(itemid)
            part = oracle.counter(shard, itemid, at)
            if counter is None:
                assert part is None
                continue
            weeks = [[week, *counts] for week, counts in sorted(counter.weeks.items())]
            assert part == {name: getattr(counter, name) for name in COUNTER[:-1]} | {"weeks": weeks}
        partials = [state.counters[itemid] for state in shards.states if itemid in state.counters]
        row = item_row(merge(partials), ratings.catalogue.items[itemid])
        assert oracle.item_row(itemid, [at] * PARTITIONS) == row


def test_the_oracle_stops_at_an_offset(archive: Path) -> None:
    oracle = Oracle(archive, 2, PARTITIONS, {9}, ())
    shard = partition_of(9, PARTITIONS)
    for offset, itemid in enumerate(ITEMS):
        oracle.take(shard, offset, *encode(Event(9, itemid, 5, offset)), 0.0)
    assert oracle.profile(9, -1) is None
    assert [oracle.profile(9, offset)["n"] for offset in range(4)] == [1, 2, 3, 4]  # type: ignore[index]


def test_an_event_from_the_future_counts_for_nothing(archive: Path) -> None:
    oracle = Oracle(archive, 2, PARTITIONS, {9}, (), max_future_s=60.0)
    shard = partition_of(9, PARTITIONS)
    oracle.take(shard, 0, *encode(Event(9, 1, 5, 1060)), 1000.0)
    oracle.take(shard, 1, *encode(Event(9, 2, 5, 1061)), 1000.0)
    assert oracle.dead[shard] == [1]
    assert oracle.seen(9, 1) == {1: (1060, 5)}


@settings(max_examples=100, deadline=None)
@given(records=RECORDS)
def test_inputs_from_the_oracles_counts_are_those_that_the_fold_logs(
    archive: Path, records: list[tuple[bytes | None, bytes | None]]
) -> None:
    made = settings_of(archive)
    ratings = readers.load(made)
    shards = Shards.after(ratings, split(ratings, made.data).offline, PARTITIONS)
    others = [shards.others(shard) for shard in range(PARTITIONS)]
    oracle = Oracle(archive, 2, PARTITIONS, {*USERS, 9}, ITEMS, MAX_FUTURE_S)
    table, logged = ItemTable(ratings.catalogue.items), []
    for offset, (key, value) in enumerate(records):
        shard = partition_of(int(key), PARTITIONS) if key else 0
        oracle.take(shard, offset, key, value, 0.0)
        try:
            event = decode_event(Logged(shard, offset, key, value), ratings.catalogue.items, PARTITIONS, MAX_FUTURE_S)
        except EventError:
            continue
        state = shards.states[shard]
        if isinstance(event, Erasure):
            state.erase(event.userid)
            continue
        before = Before(table)
        before.take(state.profile(event.userid))
        counter, (n, likes) = state.counter(event.itemid), others[shard].get(event.itemid, (0, 0))
        columns = (np.array([value]) for value in (event.itemid, counter.n + n, counter.likes + likes))
        row = dense(before.columns(), table.columns(*columns))[0]
        if state.step(event):
            logged.append(LoggedInput(shard, offset, event.userid, event.itemid, row))
    for event in logged:
        assert np.allclose(expected_row(oracle, event, True), event.row, rtol=1e-6, atol=0)
        without = expected_row(oracle, event, False)
        assert np.allclose(without[~OF_ITEM_COUNTS], event.row[~OF_ITEM_COUNTS], rtol=1e-6, atol=0)


def test_the_columns_that_need_the_counts_of_an_item_are_known() -> None:
    assert [name for name, needs in zip(DENSE_COLUMNS, OF_ITEM_COUNTS, strict=True) if needs] == [
        "item_like_rate",
        "item_log_n",
    ]


def test_a_declared_count_that_the_oracle_does_not_compute_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counts_without_oracle() == []
    monkeypatch.setattr("verify.sample.USER_FEATURES", (*USER_FEATURES, "n5"))
    monkeypatch.setattr("verify.sample.ITEM_FEATURES", (*ITEM_FEATURES, "views"))
    assert counts_without_oracle() == ["count n5 of the user", "count views of the item"]
