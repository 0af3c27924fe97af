"""The oracle against the fold, on any events in any order: two folds that share no code give one state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from features import Erasure, Event, EventError, ItemCounter, dense, item_row, merge, user_row
from features.columns import Before, ItemTable
from features.counts import Count
from features.weights import weigh
from offline.data.split import split
from offline.state.snapshot import Shards
from stores import Logged, decode_event, partition_of
from stores.redis.packing import pack_profile
from tests.movielens import GENRES, SCHEMA, rated
from tests.verify.worlds import (
    MAX_FUTURE_S,
    ONLINE,
    WAITING_EVENTS,
    WEEK,
    Record,
    World,
    partitions_of,
    ratings_world,
)
from verify.inputs import LoggedInput, expected_row, of_item_counts
from verify.oracle import Oracle, of_archive
from verify.sample import COUNTER, counts_without_oracle

PARTITIONS = 2


def folded(world: World, shards: Shards, records: list[Record], oracle: Oracle) -> int:
    """Fold records with both; how many are dead."""
    dead = 0
    for offset, record in enumerate(records):
        for shard in partitions_of(world, record, PARTITIONS):
            # At every third offset an event of the last of TIMES is one from the future.
            appended = (0.0, 30.0 * WEEK, 2.0 * WEEK)[offset % 3]
            oracle.take(shard, offset, *record, appended)
            logged = Logged(shard, offset, *record, created=appended)
            try:
                event = decode_event(logged, world.schema, PARTITIONS, MAX_FUTURE_S)
                shards.states[shard].take(event, offset)
            except EventError:
                dead += 1
    return dead


def begun(world: World, waiting_events: int = WAITING_EVENTS) -> Shards:
    places = split(world.ratings, world.settings.data).offline
    return Shards.after(world.ratings, places, PARTITIONS, waiting_events)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), from_archive=st.booleans())
def test_two_folds_that_share_no_code_give_one_state(
    world: World, archived: Path, data: st.DataObject, from_archive: bool
) -> None:
    records = data.draw(world.records)
    shards = begun(world)
    first = datasets.path_of("movielens-1m")
    history = of_archive(archived, first, ONLINE) if from_archive else world.history()
    oracle = Oracle(history, PARTITIONS, world.users, world.items, MAX_FUTURE_S, waiting_events=WAITING_EVENTS)
    dead = folded(world, shards, records, oracle)
    assert sum(map(len, oracle.dead)) == dead
    assert oracle.profile_fields == list(world.schema.profile_fields)
    compare_users(world, shards, oracle, len(records))
    compare_items(world, shards, oracle, len(records))


def compare_users(world: World, shards: Shards, oracle: Oracle, at: int) -> None:
    """Compare profiles, seen filters, attributes and feature rows."""
    codes = {user.userid: user.codes for shard in range(PARTITIONS) for user in shards.users(shard)}
    for userid in world.users:
        known = oracle.attributes(userid, at)
        assert (known and tuple(known)) == codes.get(userid)
        state = shards.states[partition_of(userid, PARTITIONS)]
        profile = state.profiles.get(userid)
        if profile is None:
            assert oracle.profile(userid, at) is oracle.user_row(userid, at) is None
            continue
        told = oracle.profile(userid, at)
        assert told is not None
        assert [*told.values()] == msgpack.unpackb(pack_profile(profile))[: len(told)]
        assert all(n >= 0 for tally in profile.tallies for n in tally)
        assert oracle.counted(userid, at) == sorted([*event, number] for event, number in profile.counted.items())
        seen = {itemid: tuple(events) for itemid, events in oracle.seen(userid, at).items()}
        assert seen == state.seen[userid]
        row = user_row(world.schema, profile, state.user(userid), state.layer)
        assert oracle.user_row(userid, at) == row
        assert set(oracle.user_fields) == row.keys()


def compare_items(world: World, shards: Shards, oracle: Oracle, at: int) -> None:
    """Compare counters, the items as each shard knows them, what waits for them, and feature rows."""
    for shard, state in enumerate(shards.states):
        assert oracle.waiting(shard) == {itemid: len(waiting) for itemid, waiting in state.waiting.items()}
        for itemid in world.items:
            compare_counter(state.counters.get(itemid), oracle.counter(shard, itemid, at))
            changed, told = state.layer.changed.get(itemid), oracle.changed(shard, itemid, at)
            assert (changed is None) == (told is None)
            if changed is not None:
                assert told == {
                    "version": changed.version,
                    "withdrawn": changed.withdrawn,
                    "content": changed.content[0],
                }
            if itemid in state.layer:
                known = oracle.catalogue(itemid, shard, at)
                values = [known[attribute.name] for attribute in world.schema.item_attributes]
                plain = tuple(tuple(value) if isinstance(value, list) else value for value in values)
                assert plain == state.layer[itemid].values
    layer = shards.layer()
    for itemid in world.items:
        row = oracle.item_row(itemid, [at] * PARTITIONS)
        if itemid not in layer:
            assert row is None
            continue
        partials = [state.counters[itemid] for state in shards.states if itemid in state.counters]
        assert row == item_row(world.schema, merge(partials), layer[itemid])
        assert set(oracle.item_fields) == row.keys()


def compare_counter(counter: ItemCounter | None, part: dict[str, Any] | None) -> None:
    """Compare a shard's part of an item's counters."""
    if counter is None:
        assert part is None
        return
    weeks = [[week, *counts] for week, counts in sorted(counter.weeks.items())]
    assert part == {name: getattr(counter, name) for name in COUNTER[:-1]} | {"weeks": weeks}


def test_the_oracle_stops_at_an_offset(ratings: World) -> None:
    oracle = Oracle(ratings.history(), PARTITIONS, {9}, ())
    shard = partition_of(9, PARTITIONS)
    for offset, itemid in enumerate(ratings.items):
        oracle.take(shard, offset, *SCHEMA.events.encode(rated(9, itemid, 5, offset)), 0.0)  # type: ignore[arg-type]
    assert oracle.profile(9, -1) is None
    assert [oracle.profile(9, offset)["n"] for offset in range(4)] == [1, 2, 3, 4]  # type: ignore[index]


def test_an_event_from_the_future_counts_for_nothing(ratings: World) -> None:
    oracle = Oracle(ratings.history(), PARTITIONS, {9}, (), max_future_s=60.0)
    shard = partition_of(9, PARTITIONS)
    oracle.take(shard, 0, *SCHEMA.events.encode(rated(9, 1, 5, 1060)), 1000.0)
    oracle.take(shard, 1, *SCHEMA.events.encode(rated(9, 2, 5, 1061)), 1000.0)
    assert oracle.dead[shard] == [1]
    assert oracle.seen(9, 1) == {1: [(1060, 5)]}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_inputs_from_the_oracles_counts_are_those_that_the_fold_logs(world: World, data: st.DataObject) -> None:
    records = data.draw(world.records)
    schema, shards = world.schema, begun(world)
    others = [shards.others(shard) for shard in range(PARTITIONS)]
    oracle = Oracle(world.history(), PARTITIONS, world.users, world.items, MAX_FUTURE_S, waiting_events=WAITING_EVENTS)
    logged = []
    for offset, record in enumerate(records):
        for shard in partitions_of(world, record, PARTITIONS):
            oracle.take(shard, offset, *record, 0.0)
            state = shards.states[shard]
            try:
                event = decode_event(Logged(shard, offset, *record), schema, PARTITIONS, MAX_FUTURE_S)
                if not isinstance(event, Event) or event.itemid not in state.layer:
                    state.take(event, offset)
                    continue
            except EventError:
                continue
            table = ItemTable(schema, state.layer)
            before = Before(table)
            before.take(state.profile(event.userid))
            counter, (n, likes) = state.counter(event.itemid), others[shard].get(event.itemid, (0, 0))
            item = table.at(table.column([event.itemid]), np.array([counter.n + n]), np.array([counter.likes + likes]))
            row = dense(schema, before.columns(), item)[0]
            if state.step(event):
                logged.append(LoggedInput(shard, offset, event.userid, event.itemid, row))
    without_counts = ~of_item_counts(schema)
    for event in logged:
        assert np.allclose(expected_row(schema, oracle, event, True), event.row, rtol=1e-6, atol=0)
        without = expected_row(schema, oracle, event, False)
        assert np.allclose(without[without_counts], event.row[without_counts], rtol=1e-6, atol=0)


def test_an_event_goes_on_counting_under_the_attributes_that_its_item_had(ratings: World) -> None:
    events, shard = SCHEMA.events, partition_of(9, PARTITIONS)
    oracle = Oracle(ratings.history(), PARTITIONS, {9}, ratings.items)
    for offset, record in enumerate(
        [
            rated(9, 1, 5, 100),
            events.item_change(1, 7, {"genres": ["War"]}),
            rated(9, 2, 5, 200),
            rated(9, 1, 1, 300),
            events.item_change(1, 6, {"genres": ["Western"]}),
            events.withdrawal(1, 8),
        ]
    ):
        oracle.take(shard, offset, *events.encode(record), 0.0)
    genres = SCHEMA.terms[0].codes

    def counted(at: int) -> list[list[int]]:
        row = oracle.user_counts(9, at)
        return [[row["genre_n"][genres[name]] for name in names] for names in (("Action", "Animation"), ("War",))]

    assert [counted(at) for at in range(6)] == [[[1, 1], [0]]] * 3 + [[[0, 0], [1]]] * 3
    assert [oracle.changed(shard, 1, at) for at in (0, 4, 5)] == [
        None,
        {"version": 7, "withdrawn": False, "content": 7},
        {"version": 8, "withdrawn": True, "content": 7},
    ]


def test_an_event_goes_on_weighing_under_the_attributes_that_its_item_had(ratings: World) -> None:
    events, shard, half_life = SCHEMA.events, partition_of(9, PARTITIONS), SCHEMA.codes.half_life_s
    oracle = Oracle(ratings.history(), PARTITIONS, {9}, ratings.items)
    for offset, record in enumerate(
        [
            rated(9, 1, 5, half_life),
            events.item_change(1, 7, {"genres": ["War"]}),
            rated(9, 99, 4, 0),
            rated(9, 1, 1, 3 * half_life),
            events.item_change(99, 1, {"genres": ["Western"]}),
            events.item_change(99, 2, {"genres": ["Drama"]}),
        ]
    ):
        oracle.take(shard, offset, *events.encode(record), 0.0)
    action, animation, war, western = (GENRES.index(name) for name in ("Action", "Animation", "War", "Western"))
    told = [oracle.profile(9, at) for at in range(6)]
    unit = 1024 * 4096
    liked, disliked = [action, unit // 2, animation, unit // 2], [war, -unit // 2 * 4]
    later = [war, -unit // 2 * 8, western, unit]
    assert [each and each["genre_weights"] for each in told] == [liked, liked, liked, disliked, later, later]


MISTAKES: dict[str, Callable[..., object]] = {
    "nothing is taken back": lambda codes, weights, first_ts, terms, ts, code, by: (
        by < 0 or weigh(codes, weights, first_ts, terms, ts, code, by)
    ),
    "all events weigh as the first": lambda codes, weights, first_ts, terms, ts, code, by: weigh(
        codes, weights, first_ts, terms, first_ts, code, by
    ),
    "later attributes are taken back": lambda codes, weights, first_ts, terms, ts, code, by: weigh(
        codes, weights, first_ts, terms if by > 0 else [[0] for _ in terms], ts, code, by
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_oracle_finds_a_mistake_in_weights_alone(
    ratings: World, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    half_life = SCHEMA.codes.half_life_s
    changed = SCHEMA.events.item_change(1, 7, {"genres": ["War"], "year": 1950})
    log = [rated(9, 1, 5, half_life), rated(9, 2, 5, 5 * half_life), changed, rated(9, 1, 4, 3 * half_life)]
    records = [SCHEMA.events.encode(record) for record in log]
    assert differing(ratings, records) == set()
    monkeypatch.setattr("features.profile.weigh", MISTAKES[mistake])
    assert differing(ratings, records) == {"genre_weights", "decade_weights"}


def differing(world: World, records: list[Record]) -> set[str]:
    """The fields of a profile about which fold and oracle differ."""
    shards = begun(world)
    oracle = Oracle(world.history(), PARTITIONS, {9}, (), MAX_FUTURE_S)
    folded(world, shards, records, oracle)
    told, profile = oracle.profile(9, len(records)), shards.states[partition_of(9, PARTITIONS)].profiles[9]
    assert told is not None
    stored = dict(zip(told, msgpack.unpackb(pack_profile(profile)), strict=False))
    return {name for name in told if told[name] != stored[name]}


def test_events_of_an_unknown_item_count_from_the_change_on_that_brings_it(ratings: World) -> None:
    events, shard = SCHEMA.events, partition_of(9, PARTITIONS)
    oracle = Oracle(ratings.history(), PARTITIONS, {9}, ratings.items, waiting_events=2)
    records = [rated(9, 99, 5, 100), rated(9, 98, 4, 200), rated(9, 99, 3, 300), events.withdrawal(99, 9)]
    for offset, record in enumerate([*records, events.item_change(99, 4, {"genres": ["War"]})]):
        oracle.take(shard, offset, *events.encode(record), 0.0)
    assert oracle.dead[shard] == [2]
    assert oracle.waiting(shard) == {98: 1}
    assert oracle.profile(9, 3) is None
    assert oracle.seen(9, 4) == {99: [(100, 5)]}
    row = oracle.item_row(99, [4] * PARTITIONS)
    assert row is not None and row["n"] == 1 and oracle.item_row(98, [4] * PARTITIONS) is None


def test_what_waits_of_an_erased_user_never_counts(ratings: World) -> None:
    events, shard = SCHEMA.events, partition_of(9, PARTITIONS)
    oracle = Oracle(ratings.history(), PARTITIONS, {9}, ratings.items)
    for offset, record in enumerate(
        [
            rated(9, 99, 5, 100),
            events.user_change(9, {"gender": "F"}),
            Erasure(9),
            rated(9, 99, 4, 50),
            events.item_change(99, 1, {}),
        ]
    ):
        oracle.take(shard, offset, *events.encode(record), 0.0)
    assert oracle.seen(9, 4) == {99: [(50, 4)]}
    assert oracle.attributes(9, 1) == [0, -1, -1]
    assert oracle.attributes(9, 4) is None


def test_the_columns_that_need_the_counts_of_an_item_are_known(world: World) -> None:
    columns = zip(world.schema.dense_columns, of_item_counts(world.schema), strict=True)
    assert [name for name, needs in columns if needs] == ["item_like_rate", "item_log_n"]


def test_a_declared_count_that_the_oracle_does_not_compute_is_named(world: World) -> None:
    oracle, schema = Oracle(world.history(), PARTITIONS, (), ()), world.schema
    assert counts_without_oracle(schema, oracle) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "user_fields", (*schema.user_fields, Count("n5", "")))
        patch.setattr(schema, "item_fields", (*schema.item_fields, Count("views", "")))
        assert counts_without_oracle(schema, oracle) == ["count n5 of the user", "count views of the item"]


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> World:
    return ratings_world(tmp_path_factory.mktemp("ratings"))
