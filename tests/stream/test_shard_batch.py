"""A batch is validated, cut at the first record that is missing, and folded as its events one by one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Erasure, Event, Id, IdKind, ItemCounter, Items, Layer, Schema, Seen, count, fold
from features.columns import ItemTable
from features.event import LogRecord
from features.seen import known, later, with_rated
from features.waiting import TOO_MANY
from scoring import preferences
from stores import FeatureBatch, Gap, Logged, ShardState, Skipped
from stores.kafka.batch_headers import Run
from stores.kafka.feature_log import FeatureLogError
from stream.fold.inputs import Moments
from stream.fold.sampling import Sampler
from stream.fold.shard_batch import Rules, ShardBatch, Unreadable
from stream.fold.shard_fold import Known, ShardFold
from stream.fold.shard_fold import fold_batch as fold_batch_of
from tests.movielens import GENRES, rated
from tests.obvious_log import ObviousLog
from tests.stream.samples import FILMS, SAMPLES, Drawn, Sample

DRAWN = st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 4), st.integers(0, 4))
of_each_sample = pytest.mark.parametrize("sample", SAMPLES.values(), ids=list(SAMPLES))


def rules_of(sample: Sample) -> Rules:
    return Rules(sample.schema, 1, 1e10)


RULES = rules_of(FILMS)


def fold_batch(
    schema: Schema, state: ShardState, batch: ShardBatch, items: Items, taken: Moments | None, most_waiting: int = 100
) -> ShardFold:
    return fold_batch_of(schema, state, batch, Known(items, Unreadable.of(state, items), most_waiting), taken)


def records(sample: Sample, events: list[Event], headers: tuple[tuple[str, bytes], ...] = ()) -> list[Logged]:
    encode = sample.schema.events.encode
    return [Logged(0, offset, *encode(event), headers, 1e9) for offset, event in enumerate(events)]


def batch_of(sample: Sample, events: list[Event], headers: tuple[tuple[str, bytes], ...] = ()) -> ShardBatch:
    return ShardBatch.validate(0, records(sample, events, headers), rules_of(sample))


def state_after(sample: Sample, events: list[Event], applied: int) -> ShardState:
    """The state of a shard after some events, folded one by one."""
    schema, codes = sample.schema, sample.schema.codes
    profiles = {userid: schema.profile(userid) for userid in sample.users[:2]}
    counters = {itemid: ItemCounter() for itemid in sample.items}
    seen: dict[tuple[Id, Id], Seen] = {}
    for event in events:
        pair = event.userid, event.itemid
        before = known(seen.get(pair), event.code, codes)
        if fold(codes, profiles[event.userid], before, event, sample.items):
            after = later(event, before)
            if after != before:
                count(codes, counters[event.itemid], before, after)
                seen[pair] = with_rated(codes, seen.get(pair), after)
    users = {userid: schema.user(userid) for userid in profiles}
    return ShardState("{ratings-0}", applied, profiles, users, seen, counters, frozenset(), frozenset(), ())


def moments(sample: Sample, scored: range = range(0)) -> Moments:
    others = {next(iter(sample.items)): (7, 3)}
    return Moments(0, ItemTable(sample.schema, sample.items), sample.items, others, scored, Sampler(0.0))


def as_logged(taken: Moments, *, spoil: bool = False) -> FeatureBatch:
    """The message of a batch that is alone."""
    (rows,) = Moments.rows([taken])
    return taken.feature_batch(rows, spoil)


@of_each_sample
@given(before=st.lists(DRAWN, max_size=6), drawn=st.lists(DRAWN, min_size=1, max_size=12), applied=st.integers(-1, 12))
def test_a_batch_is_folded_as_its_events_one_by_one_and_returns_all_that_changed(
    sample: Sample, before: list[Drawn], drawn: list[Drawn], applied: int
) -> None:
    earlier, events = [sample.event(each) for each in before], [sample.event(each) for each in drawn]
    state = state_after(sample, earlier, applied)
    batch = batch_of(sample, events)
    found = fold_batch(sample.schema, deepcopy(state), batch, sample.items, moments(sample))
    expected = state_after(sample, [*earlier, *events[applied + 1 :]], applied)
    assert {**state.profiles, **found.changes.profiles} == expected.profiles
    assert {**state.counters, **found.changes.counters} == expected.counters
    assert {**state.rated, **found.changes.rated} == expected.rated
    assert {user.userid: profile for profile, user in found.users} == {
        event.userid: expected.profiles[event.userid] for event in events
    }
    assert (found.applied, found.redelivered) == (len(events[applied + 1 :]), len(events[: applied + 1]))


@of_each_sample
@given(drawn=st.lists(DRAWN, min_size=1, max_size=12))
def test_a_moment_is_taken_of_each_event_that_counts_and_of_no_other(sample: Sample, drawn: list[Drawn]) -> None:
    events, codes = [sample.event(each) for each in drawn], sample.schema.codes
    first = next(iter(sample.items))
    taken = moments(sample, scored=range(len(events)))
    fold_batch(sample.schema, state_after(sample, [], -1), batch_of(sample, events), sample.items, taken)
    expected, latest = [], dict[tuple[Id, Id, str], Event]()
    for place, event in enumerate(events):
        of_type = event.userid, event.itemid, codes.type(event.code)
        before = latest.get(of_type)
        if event != before and (before is None or event.ts >= before.ts or not codes.replaces[event.code]):
            n = sum(itemid == event.itemid for _, itemid, _ in latest)
            expected.append((place, n + (7 if event.itemid == first else 0)))
            if before is None or event.ts >= before.ts:
                latest[of_type] = event
    assert taken.failure is None
    assert [(record.offset, n) for (record, _), (n, _) in zip(taken.taken, taken.items, strict=True)] == expected
    assert [each.place for each in taken.sampled] == list(range(len(expected)))


@of_each_sample
@given(drawn=st.lists(DRAWN, min_size=1, max_size=12))
def test_what_is_taken_comes_back_from_the_feature_log(sample: Sample, drawn: list[Drawn]) -> None:
    events, schema = [sample.event(each) for each in drawn], sample.schema
    table = ItemTable(schema, sample.items)
    taken = Moments(2, table, sample.items, {}, range(len(events)), Sampler(1e9))
    fold_batch(schema, state_after(sample, [], -1), batch_of(sample, events), sample.items, taken)
    made = as_logged(taken)
    read = FeatureBatch.unpack(made.pack(schema), schema)
    assert (read.partition, len(read)) == (2, len(made))
    logged = [event for _, event in taken.taken]
    assert read.userids == [event.userid for event in logged] and read.itemids == [event.itemid for event in logged]
    assert read.code.tolist() == [event.code for event in logged] and read.ts.tolist() == [event.ts for event in logged]
    np.testing.assert_array_equal(read.rows, made.rows)
    for sampled, event in zip(read.sampled, logged, strict=True):
        assert sampled.attributes == list(schema.user(event.userid).codes)
        assert len(sampled.user) == (schema.user_width if schema.codes.target[event.code] else 0)
    for place, sampled in enumerate(read.sampled):
        before = [event for event in logged[:place] if event.userid == logged[place].userid]
        assert {itemid for _, itemid, _ in sampled.recent} == {event.itemid for event in before}
        if schema.codes.target[logged[place].code]:
            state = state_after(sample, logged[:place], -1)
            weights = state.profiles[logged[place].userid].weights
            assert preferences(schema, sampled.weights) == preferences(schema, weights)
        else:
            assert sampled.weights == []


@of_each_sample
def test_a_message_of_the_feature_log_with_codes_that_no_event_has_is_refused(sample: Sample) -> None:
    schema, taken = sample.schema, moments(sample, scored=range(9))
    events = [sample.event((0, item, 0, ts)) for ts, item in enumerate((0, 1))]
    fold_batch(schema, state_after(sample, [], -1), batch_of(sample, events), sample.items, taken)
    good = as_logged(taken)
    for code in (0, -1, schema.codes.size, 2**40):
        bad = replace(good, code=np.array([1, code]))
        with pytest.raises(FeatureLogError, match="codes that no event has"):
            FeatureBatch.unpack(bad.pack(schema), schema)
        ((ts, itemid, _),) = good.sampled[1].recent
        sampled = replace(good.sampled[1], recent=[(ts, itemid, code)])
        with pytest.raises(FeatureLogError, match="codes that no event has"):
            FeatureBatch.unpack(replace(good, sampled=[good.sampled[0], sampled]).pack(schema), schema)


def test_a_failure_to_take_moments_never_stops_the_fold() -> None:
    broken = moments(FILMS)
    broken.users = None  # type: ignore[assignment]
    batch = batch_of(FILMS, [rated(1, 1, 5, 1), rated(1, 2, 5, 2)])
    found = fold_batch(FILMS.schema, state_after(FILMS, [], -1), batch, FILMS.items, broken)
    assert found.changes.profiles[1].n == 2
    assert isinstance(broken.failure, AttributeError)


@pytest.mark.parametrize("spoil", [False, True])
def test_the_header_broken_spoils_a_feature_only_where_that_is_allowed(spoil: bool) -> None:
    taken = moments(FILMS)
    batch = batch_of(FILMS, [rated(1, 1, 5, 1)], (("broken", b"item_log_n=missing"),))
    fold_batch(FILMS.schema, state_after(FILMS, [], -1), batch, FILMS.items, taken)
    (row,) = as_logged(taken, spoil=spoil).rows
    place = FILMS.schema.dense_columns.index("item_log_n")
    assert bool(np.isnan(row[place])) == spoil
    assert not np.isnan(np.delete(row, place)).any()


def test_records_up_to_the_first_that_is_missing_are_kept() -> None:
    (record,) = records(FILMS, [rated(1, 1, 5, 1)])
    some = [replace(record, offset=offset) for offset in (4, 5, 7, 9)]
    batch = ShardBatch.validate(0, some, RULES)
    kept, missing = batch.to_first_missing(3, lambda shard, first, end: [Run(6, 7, False)])
    assert [record.offset for record, _ in kept.valid] == [4, 5, 7]
    assert isinstance(missing, Gap) and "offsets 8 to 8" in str(missing)
    kept, missing = batch.to_first_missing(3, lambda shard, first, end: [Run(6, 7, True), Run(8, 9, True)])
    assert [record.offset for record in kept.records] == [4, 5]
    assert isinstance(missing, Skipped) and "offsets 6 to 6" in str(missing)
    assert batch.to_first_missing(9, lambda shard, first, end: ()) == (batch, None)


KINDS = ("valid", "erased")
"""The fields of a batch that hold what its records are."""


def step_of(sample: Sample, drawn: Drawn | int | str | None) -> LogRecord | None:
    """An event, the erasure of a user, a change of an item or of a user; None for a record that is none."""
    events = sample.schema.events
    if isinstance(drawn, int):
        return Erasure(sample.users[drawn])
    if isinstance(drawn, str):
        item, user = next(iter(sample.items)), sample.users[0]
        changes = {"item": events.item_change(item, 1, {}), "gone": events.withdrawal(item, 2)}
        return changes.get(drawn) or events.user_change(user, {})
    return None if drawn is None else sample.event(drawn)


@of_each_sample
@given(
    drawn=st.lists(
        st.one_of(DRAWN, st.sampled_from([0, 1, "item", "gone", "user"]), st.just(None)), min_size=1, max_size=12
    )
)
def test_erasures_are_folded_apart_from_events_and_changes_in_the_order_of_the_log(
    sample: Sample, drawn: list[Drawn | int | str | None]
) -> None:
    encode = sample.schema.events.encode
    steps = [step_of(sample, each) for each in drawn]
    logged = [
        Logged(0, offset, *((b"1", b"no event") if step is None else encode(step)), (), 1e9)
        for offset, step in enumerate(steps)
    ]
    batch = ShardBatch.validate(0, logged, rules_of(sample))
    runs = batch.runs()
    assert [record for run in runs for record in run.records] == logged
    kinds = [[name for name in KINDS if getattr(run, name)] for run in runs]
    assert all(len(names) <= 1 for names in kinds)
    filled = [names for names in kinds if names]
    assert all(one != other for one, other in pairwise(filled))
    for name in ("dead", *KINDS):
        assert [each for run in runs for each in getattr(run, name)] == list(getattr(batch, name))
    read = {record.offset: each for name in KINDS for record, each in getattr(batch, name)}
    assert [read.get(offset) for offset in range(len(steps))] == steps


HALF_LIFE = FILMS.schema.codes.half_life_s
SPREAD = st.tuples(
    st.integers(0, 1), st.integers(0, 1), st.integers(0, 4), st.sampled_from([0, 1, 2, HALF_LIFE, 5 * HALF_LIFE + 1])
)
"""The same over half-lives of the weights of terms."""

STEPS = st.lists(st.one_of(SPREAD, st.sampled_from(["first", "new", "gone", "user"])), min_size=1, max_size=16)
CUTS = st.sets(st.integers(1, 15))


@of_each_sample
@given(drawn=STEPS, cuts=CUTS)
def test_events_and_changes_are_folded_the_same_however_a_log_is_cut(
    sample: Sample, drawn: list[Drawn | str], cuts: set[int]
) -> None:
    logged = records_of(sample, [mixed(sample, step, place) for place, step in enumerate(drawn)])
    one, rows = fold_all(sample, [logged])
    other, others = fold_all(sample, cut(logged, cuts))
    assert one == other
    np.testing.assert_array_equal(rows, others)


@of_each_sample
@given(drawn=STEPS, cuts=CUTS)
def test_weights_are_those_of_the_events_that_count_under_the_attributes_that_they_met(
    sample: Sample, drawn: list[Drawn | str], cuts: set[int]
) -> None:
    steps = [mixed(sample, step, place) for place, step in enumerate(drawn)]
    (profiles, *_), _ = fold_all(sample, cut(records_of(sample, steps), cuts), most_waiting=len(steps))
    obvious = ObviousLog(sample.schema, sample.items, steps)
    assert isinstance(profiles, dict)
    for userid, profile in profiles.items():
        assert (profile.tallies, profile.weights) == (obvious.tallies(userid), obvious.weights(userid))


def cut(logged: Sequence[Logged], cuts: set[int]) -> list[Sequence[Logged]]:
    """A log in batches."""
    bounds = [0, *sorted(place for place in cuts if place < len(logged)), len(logged)]
    return [logged[begin:end] for begin, end in pairwise(bounds)]


def records_of(sample: Sample, steps: Sequence[LogRecord]) -> list[Logged]:
    encode = sample.schema.events.encode
    return [Logged(0, offset, *encode(step), (), 1e9) for offset, step in enumerate(steps)]


def new_item(sample: Sample) -> Id:
    return 77 if sample.schema.item_ids is IdKind.INTEGER else "new"


def mixed(sample: Sample, drawn: Drawn | str, place: int) -> LogRecord:
    """An event, at times of an item that the catalogue lacks; or a change of an item or a user."""
    events, first = sample.schema.events, next(iter(sample.items))
    if isinstance(drawn, str):
        words: dict[str, object] = {"price": place, "categories": ["garden", "kitchen", "toys"][place % 4 :]}
        if sample is FILMS:
            words = {"year": 1980 + place, "genres": list(GENRES[place % 3 : place % 5])}
        user = {"age": "25"} if sample is FILMS else {}
        changes = {
            "first": events.item_change(first, place + 1, words),
            "new": events.item_change(new_item(sample), place + 1, words),
            "gone": events.withdrawal(first, place + 1),
        }
        return changes.get(drawn) or events.user_change(sample.users[0], user)
    event = sample.event(drawn)
    return replace(event, itemid=new_item(sample)) if drawn[2] == 4 else event


def fold_all(
    sample: Sample, batches: Sequence[Sequence[Logged]], most_waiting: int = 2
) -> tuple[list[object], np.ndarray]:
    """The state of a shard after some batches, folded one after another, and the inputs of their events."""
    schema, layer = sample.schema, Layer(sample.items)
    state, dead, rows = with_counter(sample, new_item(sample)), [], []
    for records in batches:
        taken = Moments(0, ItemTable(schema, sample.items), layer, {}, range(0), Sampler(0.0))
        batch = ShardBatch.validate(0, records, rules_of(sample))
        found = fold_batch(schema, state, batch, layer, taken, most_waiting)
        changes = found.changes
        state = replace(
            state,
            applied=batch.last,
            users={**state.users, **changes.users},
            rated={**state.rated, **changes.rated},
            changes=state.changes + changes.current,
            waits=state.waits + changes.waited,
            waiting={**state.waiting, **changes.waiting},
        )
        dead += found.dead
        assert taken.failure is None
        if taken.taken:
            rows.append(as_logged(taken).rows)
    waiting = {itemid: entries for itemid, entries in state.waiting.items() if entries}
    found = [state.profiles, state.users, state.rated, state.counters, state.changes, state.waits, waiting, dead]
    return [*found, layer.changed], np.concatenate(rows) if rows else np.zeros(0)


@of_each_sample
@given(parts=st.lists(st.lists(DRAWN, min_size=1, max_size=4), min_size=2, max_size=4))
def test_the_inputs_of_batches_together_are_those_of_each_alone(sample: Sample, parts: list[list[Drawn]]) -> None:
    schema, layer = sample.schema, Layer(sample.items)
    layer.apply(schema.events.item_change(next(iter(sample.items)), 1, {}))
    table, batches = ItemTable(schema, sample.items), []
    for drawn in parts:
        batches.append(Moments(0, table, layer, {}, range(0), Sampler(0.0)))
        batch = batch_of(sample, [sample.event(each) for each in drawn])
        fold_batch(schema, state_after(sample, [], -1), batch, layer, batches[-1])
    for together, taken in zip(Moments.rows(batches), batches, strict=True):
        np.testing.assert_array_equal(together, as_logged(taken).rows)


@of_each_sample
def test_the_inputs_before_an_event_have_the_item_as_it_is_by_then(sample: Sample) -> None:
    schema, first = sample.schema, next(iter(sample.items))
    new: Id = 77 if schema.item_ids is IdKind.INTEGER else "new"
    layer = Layer(sample.items)
    words = {"year": 2010} if sample is FILMS else {"price": 99}
    for itemid in (first, new):
        layer.apply(schema.events.item_change(itemid, 1, words))
    events = [sample.event((0, place, 0, place)) for place in range(len(sample.items))]
    events.insert(1, replace(events[0], itemid=new, ts=9))
    taken = Moments(0, ItemTable(schema, sample.items), layer, {}, range(9), Sampler(1e9))
    fold_batch(schema, with_counter(sample, new), batch_of(sample, events), layer, taken)
    batch = as_logged(taken)
    assert batch.itemids == [event.itemid for event in events]
    of_item = [place for place, name in enumerate(schema.dense_columns) if name.startswith("item_") or ":" in name]
    for row, event in zip(batch.rows, events, strict=True):
        table = ItemTable(schema, {event.itemid: layer[event.itemid]})
        alone = Moments(0, table, table.items, {}, range(0), Sampler(0.0))
        fold_batch(schema, with_counter(sample, new), batch_of(sample, [event]), table.items, alone)
        np.testing.assert_array_equal(row[of_item], as_logged(alone).rows[0][of_item])


def with_counter(sample: Sample, itemid: Id) -> ShardState:
    """The state of a shard without events, with the counters of one more item."""
    state = state_after(sample, [], -1)
    return replace(state, counters={**state.counters, itemid: ItemCounter()})


@of_each_sample
def test_an_event_that_waits_has_no_moment_and_changes_no_user(sample: Sample) -> None:
    unknown: Id = 77 if sample.schema.item_ids is IdKind.INTEGER else "new"
    known, taken = sample.event((0, 0, 0, 5)), moments(sample, scored=range(9))
    events = [replace(known, itemid=unknown), known, replace(known, itemid=unknown, userid=sample.users[1])]
    state = state_after(sample, [], -1)
    found = fold_batch(sample.schema, state, batch_of(sample, events), sample.items, taken, 1)
    assert [record.offset for record, _ in taken.taken] == [1]
    assert [user.userid for _, user in found.users] == [sample.users[0]]
    assert [entry.offset for entry in found.changes.waiting[unknown]] == [0] and found.changes.waited == 1
    assert [(record.offset, reason) for record, reason in found.dead] == [(2, TOO_MANY)]
    assert (found.applied, found.redelivered) == (2, 0)
