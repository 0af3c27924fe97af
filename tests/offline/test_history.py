"""Point-in-time features against a fold that is slow and obvious."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from features import ItemCounter, Profile, Rated, dense, fold, user_row
from features.columns import ItemTable
from features.counters import count_all
from offline.data import history
from offline.data.history import Floats, PointInTime, State, replay
from offline.data.point_in_time import Collector, PriorStates, first_of_second
from offline.data.readers import Ints, Ratings
from offline.data.split import Split, time_order
from scoring import Users
from tests.shop import PURCHASE, VIEW, catalogue, event, item, user
from tests.shop import SCHEMA as SHOP


def state_of(events: Ratings) -> State:
    return State(events.schema, events.catalogue)


def slow_rows(events: Ratings, order: Ints) -> dict[int, Floats]:
    """The dense row of each event, one at a time; counters are counted anew for each."""
    schema, codes = events.schema, events.schema.codes
    profiles: dict[object, Profile] = {}
    latest: dict[object, dict[tuple[object, str], Rated]] = defaultdict(dict)
    table = ItemTable(schema, events.catalogue.items)
    rows = {}
    for place, each in zip(order.tolist(), events.events(order), strict=True):
        profile = profiles.setdefault(each.userid, schema.profile(each.userid))
        of_item = latest[each.itemid]
        counter = count_all(codes, of_item.values())
        row = user_row(schema, profile, events.catalogue.user(each.userid), events.catalogue.items)
        item_columns = table.at(table.column([each.itemid]), np.array([counter.n]), np.array([counter.likes]))
        rows[place] = dense(schema, {name: np.array([value]) for name, value in row.items()}, item_columns)[0]
        key = each.userid, codes.type(each.code)
        known = of_item.get(key)
        if fold(codes, profile, known, each, events.catalogue.items):
            of_item[key] = (each.ts, each.code) if known is None else max(known, (each.ts, each.code))
    return rows


def test_rows_equal_the_slow_fold_value_by_value(
    events: Ratings, events_parts: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHUNK", 1000)
    order = time_order(events, events_parts.offline)
    wanted = np.concatenate([events_parts.test, events_parts.fit])
    rows = PointInTime(events, wanted)
    replay(events, order, state_of(events), [rows])
    expected = slow_rows(events, order)
    assert np.array_equal(rows.finish(), np.stack([expected[place] for place in wanted.tolist()]))


def test_a_row_knows_nothing_of_its_own_event_or_later_ones(events: Ratings, events_parts: Split) -> None:
    order = time_order(events, events_parts.offline)
    cut = order[:500]
    other = replace(
        events,
        code=np.where(
            np.isin(np.arange(len(events)), order[499:]), events.schema.codes.size - events.code, events.code
        ),
    )
    both = []
    for source, places in ((events, order), (other, order)):
        rows = PointInTime(source, cut)
        replay(source, places, state_of(source), [rows])
        both.append(rows.finish())
    assert np.array_equal(both[0], both[1])


def test_the_state_does_not_depend_on_the_order(events: Ratings) -> None:
    everything = np.arange(len(events))
    forward = replay(events, everything, state_of(events))
    backward = replay(events, everything[::-1], state_of(events))
    # The version counts the changes as they came.
    profiles = [
        {userid: replace(of, version=0) for userid, of in state.profiles.items()} for state in (forward, backward)
    ]
    assert profiles[0] == profiles[1]
    assert forward.seen == backward.seen
    assert forward.counters == backward.counters


def test_a_moment_holds_the_events_of_earlier_seconds_only(events: Ratings, events_parts: Split) -> None:
    kept: list[PriorStates] = []
    parts, positive = events_parts, events.positive
    hides = np.array(events.schema.codes.hides)[events.code]
    collector = Collector(events, parts.validation, kept.append, size=64)
    replay(events, time_order(events, parts.offline), state_of(events), [collector])
    collector.finish()
    places = np.concatenate([part.place for part in kept])
    assert np.array_equal(np.sort(places), np.sort(parts.validation))
    replaces = np.array(events.schema.codes.replaces)[events.code]
    moment = time_order(events, parts.offline)
    for part in kept[:2]:
        for row, place in enumerate(part.place.tolist()[:20]):
            # Counted from the beginning: an event of the same second may be folded before the user's first one in it.
            first = first_of_second(events)[place]
            state = replay(events, moment[: int(np.flatnonzero(moment == first)[0])], state_of(events))
            known = [state.counters.get(itemid) for itemid in events.items.ids]
            assert part.counters.n[row].tolist() == [counter.n if counter else 0 for counter in known]
            assert part.counters.likes[row].tolist() == [counter.likes if counter else 0 for counter in known]
    for part in kept:
        users = Users.of(events.schema, events.ids, part.users, 100)
        for row, place in enumerate(part.place.tolist()):
            mine = parts.offline[events.user[parts.offline] == events.user[place]]
            before = mine[events.ts[mine] < events.ts[place]]
            hidden = np.unique(events.item[before][hides[before]])
            assert np.array_equal(np.sort(events.items.numbers(part.users[row].exclude)), hidden)
            last = before[np.lexsort((events.code[before], events.item[before], events.ts[before]))]
            # Of events that replace each other the last is kept.
            key = np.column_stack([events.item[last], np.where(replaces[last], events.code[last], -last)])[::-1]
            last = last[::-1][np.sort(np.unique(key, axis=0, return_index=True)[1])][::-1][-100:]
            assert users.items[row, : len(last)].tolist() == events.item[last].tolist()
            assert users.items[row, len(last) :].sum() == 0
            assert users.liked[row, : len(last)].tolist() == positive[last].tolist()


def test_first_of_second_is_the_users_first_event_of_that_second(events: Ratings) -> None:
    first = first_of_second(events)
    earliest: dict[tuple[int, int], int] = {}
    for place, key in enumerate(zip(events.user.tolist(), events.ts.tolist(), strict=True)):
        assert first[place] == earliest.setdefault(key, place)


def test_lists_leave_out_what_was_bought_and_not_what_was_viewed() -> None:
    state = State(SHOP, catalogue([item("a"), item("b")], [user("u")]))
    for each in (event("u", "a", VIEW, 1), event("u", "b", VIEW, 2), event("u", "b", PURCHASE, 3)):
        assert state.step(each)
    assert state.user_state("u").exclude == ["b"]
    assert state.seen["u"] == {"a": ((1, VIEW),), "b": ((2, VIEW), (3, PURCHASE))}
    assert (state.profile("u").n, state.profile("u").likes) == (3, 1)


def test_a_view_of_a_day_ago_counts_for_the_user_and_not_again_for_the_item() -> None:
    state = State(SHOP, catalogue([item("a")], [user("u")]))
    assert all(state.step(event("u", "a", VIEW, ts)) for ts in (86_400, 100))
    assert not state.step(event("u", "a", VIEW, 86_400))
    assert state.profile("u").n == 2
    assert state.seen["u"]["a"] == ((86_400, VIEW),)
    assert state.counters["a"] == ItemCounter(n=1, last_ts=86_400, weeks={0: [1, 0]})


def test_of_a_user_who_was_erased_nothing_is_known() -> None:
    state = State(SHOP, catalogue([item("a")], [user("u", segment=1)]))
    assert state.user("u").codes == (1,)
    state.step(event("u", "a", PURCHASE, 1))
    state.erase("u")
    assert state.user("u").codes == (-1,)
    assert (state.profiles, state.seen, state.counters) == ({}, {}, {})
