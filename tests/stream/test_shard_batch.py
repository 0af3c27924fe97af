"""A batch is validated, cut at the first record that is missing, and folded as its events one by one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import DENSE_COLUMNS, Erasure, Event, Item, ItemCounter, Profile, User, count, encode, fold
from features.columns import ItemTable
from stores import Gap, Logged, ShardState, Skipped
from stores.kafka.batch_headers import Run
from stream.fold.inputs import Moments
from stream.fold.sampling import Sampler
from stream.fold.shard_batch import Rules, ShardBatch, fold_batch

ITEMS = {1: Item(1, "One", 1994, (0, 3)), 2: Item(2, "Two", 1987, (3,))}
RULES = Rules(ITEMS, 1, 1e10)
EVENTS = st.builds(Event, st.sampled_from([1, 2]), st.sampled_from([1, 2]), st.integers(1, 5), st.integers(0, 4))


def records(events: list[Event], headers: tuple[tuple[str, bytes], ...] = ()) -> list[Logged]:
    return [Logged(0, offset, *encode(event), headers, 1e9) for offset, event in enumerate(events)]


def state_after(events: list[Event], applied: int) -> ShardState:
    """The state of a shard after some events, folded one by one."""
    profiles = {userid: Profile(userid) for userid in (1, 2)}
    counters = {itemid: ItemCounter() for itemid in ITEMS}
    rated: dict[tuple[int, int], tuple[int, int]] = {}
    for event in events:
        pair = event.userid, event.itemid
        if fold(profiles[event.userid], rated.get(pair), event, ITEMS[event.itemid]):
            count(counters[event.itemid], rated.get(pair), event)
            rated[pair] = event.ts, event.rating
    users = {userid: User(userid) for userid in (1, 2)}
    return ShardState("{ratings-0}", applied, profiles, users, rated, counters, frozenset(), frozenset(), ())


def moments(scored: range = range(0)) -> Moments:
    return Moments(0, ItemTable(ITEMS), {1: (7, 3)}, scored, Sampler(0.0))


@given(st.lists(EVENTS, max_size=6), st.lists(EVENTS, min_size=1, max_size=12), st.integers(-1, 12))
def test_a_batch_is_folded_as_its_events_one_by_one_and_returns_all_that_changed(
    before: list[Event], events: list[Event], applied: int
) -> None:
    state = state_after(before, applied)
    found = fold_batch(deepcopy(state), ShardBatch.validate(0, records(events), RULES), ITEMS, moments())
    expected = state_after([*before, *events[applied + 1 :]], applied)
    assert {**state.profiles, **found.changes.profiles} == expected.profiles
    assert {**state.counters, **found.changes.counters} == expected.counters
    assert {**state.rated, **found.changes.rated} == expected.rated
    assert {user.userid: profile for profile, user in found.users} == {
        event.userid: expected.profiles[event.userid] for event in events
    }
    assert (found.applied, found.redelivered) == (len(events[applied + 1 :]), len(events[: applied + 1]))


@given(st.lists(EVENTS, min_size=1, max_size=12))
def test_a_moment_is_taken_of_each_event_that_counts_and_of_no_other(events: list[Event]) -> None:
    taken = moments(scored=range(len(events)))
    fold_batch(state_after([], -1), ShardBatch.validate(0, records(events), RULES), ITEMS, taken)
    expected, rated = [], dict[tuple[int, int], tuple[int, int]]()
    for place, event in enumerate(events):
        known = rated.get((event.userid, event.itemid))
        if fold(Profile(event.userid), known, event, ITEMS[event.itemid]):
            rated[event.userid, event.itemid] = event.ts, event.rating
            n = sum(itemid == event.itemid for _, itemid in rated) - (known is None)
            expected.append((place, n + (7 if event.itemid == 1 else 0)))
    assert taken.failure is None
    assert [(record.offset, n) for (record, _), (n, _) in zip(taken.taken, taken.items, strict=True)] == expected
    assert [each.place for each in taken.sampled] == list(range(len(expected)))


def test_a_failure_to_take_moments_never_stops_the_fold() -> None:
    broken = moments()
    broken.users = None  # type: ignore[assignment]
    batch = ShardBatch.validate(0, records([Event(1, 1, 5, 1), Event(1, 2, 5, 2)]), RULES)
    found = fold_batch(state_after([], -1), batch, ITEMS, broken)
    assert found.changes.profiles[1].n == 2
    assert isinstance(broken.failure, AttributeError)


@pytest.mark.parametrize("spoil", [False, True])
def test_the_header_broken_spoils_a_feature_only_where_that_is_allowed(spoil: bool) -> None:
    taken = moments()
    batch = ShardBatch.validate(0, records([Event(1, 1, 5, 1)], (("broken", b"item_log_n=missing"),)), RULES)
    fold_batch(state_after([], -1), batch, ITEMS, taken)
    (row,) = taken.feature_batch(spoil=spoil).rows
    place = DENSE_COLUMNS.index("item_log_n")
    assert bool(np.isnan(row[place])) == spoil
    assert not np.isnan(np.delete(row, place)).any()


def test_records_up_to_the_first_that_is_missing_are_kept() -> None:
    (record,) = records([Event(1, 1, 5, 1)])
    some = [replace(record, offset=offset) for offset in (4, 5, 7, 9)]
    batch = ShardBatch.validate(0, some, RULES)
    kept, missing = batch.to_first_missing(3, lambda shard, first, end: [Run(6, 7, False)])
    assert [record.offset for record, _ in kept.valid] == [4, 5, 7]
    assert isinstance(missing, Gap) and "offsets 8 to 8" in str(missing)
    kept, missing = batch.to_first_missing(3, lambda shard, first, end: [Run(6, 7, True), Run(8, 9, True)])
    assert [record.offset for record in kept.records] == [4, 5]
    assert isinstance(missing, Skipped) and "offsets 6 to 6" in str(missing)
    assert batch.to_first_missing(9, lambda shard, first, end: ()) == (batch, None)


@given(st.lists(st.one_of(EVENTS, st.builds(Erasure, st.sampled_from([1, 2])), st.just(None)), min_size=1, max_size=12))
def test_erasures_are_folded_apart_from_events_in_the_order_of_the_log(steps: list[Event | Erasure | None]) -> None:
    logged = [
        Logged(0, offset, *((b"1", b"no event") if step is None else encode(step)), (), 1e9)
        for offset, step in enumerate(steps)
    ]
    batch = ShardBatch.validate(0, logged, RULES)
    runs = batch.runs()
    assert [record for run in runs for record in run.records] == logged
    assert not any(run.valid and run.erased for run in runs)
    kinds = [bool(run.erased) for run in runs if run.valid or run.erased]
    assert all(one != other for one, other in pairwise(kinds))
    for name in ("valid", "dead", "erased"):
        assert [each for run in runs for each in getattr(run, name)] == list(getattr(batch, name))
