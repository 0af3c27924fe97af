"""Point-in-time features against a fold that is slow and obvious."""

from __future__ import annotations

import numpy as np
import pytest

from features import Event, ItemCounter, Profile, count, dense, fold, user_row
from features.columns import ItemTable
from offline.data import history
from offline.data.history import Floats, PointInTime, State, replay
from offline.data.point_in_time import Collector, PriorStates, first_of_second
from offline.data.readers import Ints, Ratings
from offline.data.split import Split, time_order
from scoring import Users


def slow_rows(ratings: Ratings, order: Ints) -> dict[int, Floats]:
    """The dense row of each event, one at a time."""
    profiles: dict[int, Profile] = {}
    counters: dict[int, ItemCounter] = {}
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    table = ItemTable(ratings.catalogue.items)
    rows = {}
    for place in order.tolist():
        columns = (ratings.userid, ratings.itemid, ratings.rating, ratings.ts)
        event = Event(*(int(column[place]) for column in columns))
        profile = profiles.setdefault(event.userid, Profile(event.userid))
        counter = counters.setdefault(event.itemid, ItemCounter())
        item = ratings.catalogue.items[event.itemid]
        user = user_row(profile, ratings.catalogue.user(event.userid), ratings.catalogue.items)
        item_columns = table.columns(*(np.array([value]) for value in (event.itemid, counter.n, counter.likes)))
        rows[place] = dense({name: np.array([value]) for name, value in user.items()}, item_columns)[0]
        known = seen.get((event.userid, event.itemid))
        if fold(profile, known, event, item):
            seen[event.userid, event.itemid] = (event.ts, event.rating)
            count(counter, known, event)
    return rows


def test_rows_equal_the_slow_fold_value_by_value(
    ratings: Ratings, parts: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHUNK", 1000)
    order = time_order(ratings, parts.offline)
    wanted = np.concatenate([parts.test, parts.fit])
    rows = PointInTime(ratings, wanted)
    replay(ratings, order, State(ratings.catalogue), [rows])
    expected = slow_rows(ratings, order)
    assert np.array_equal(rows.finish(), np.stack([expected[place] for place in wanted.tolist()]))


def test_a_row_knows_nothing_of_its_own_event_or_later_ones(ratings: Ratings, parts: Split) -> None:
    order = time_order(ratings, parts.offline)
    cut = order[:500]
    other = Ratings(
        ratings.folder,
        ratings.userid,
        ratings.itemid,
        np.where(np.isin(np.arange(len(ratings)), order[499:]), 6 - ratings.rating, ratings.rating),
        ratings.ts,
        ratings.catalogue,
    )
    both = []
    for source, places in ((ratings, order), (other, order)):
        rows = PointInTime(source, cut)
        replay(source, places, State(source.catalogue), [rows])
        both.append(rows.finish())
    assert np.array_equal(both[0], both[1])


def test_the_state_does_not_depend_on_the_order(ratings: Ratings) -> None:
    everything = np.arange(len(ratings))
    forward = replay(ratings, everything, State(ratings.catalogue))
    backward = replay(ratings, everything[::-1], State(ratings.catalogue))
    assert forward.profiles == backward.profiles
    assert forward.seen == backward.seen
    assert forward.counters == backward.counters


def test_a_moment_holds_the_events_of_earlier_seconds_only(ratings: Ratings, parts: Split) -> None:
    kept: list[PriorStates] = []
    collector = Collector(ratings, parts.validation, kept.append, size=64)
    replay(ratings, time_order(ratings, parts.offline), State(ratings.catalogue), [collector])
    collector.finish()
    places = np.concatenate([part.place for part in kept])
    assert np.array_equal(np.sort(places), np.sort(parts.validation))
    for part in kept:
        users = Users.of(part.users, 100)
        for row, place in enumerate(part.place.tolist()):
            mine = parts.offline[ratings.userid[parts.offline] == ratings.userid[place]]
            before = mine[ratings.ts[mine] < ratings.ts[place]]
            assert np.array_equal(np.sort(part.users[row].exclude), np.sort(ratings.itemid[before]))
            last = before[np.lexsort((ratings.itemid[before], ratings.ts[before]))][-100:]
            assert users.items[row, : len(last)].tolist() == ratings.itemid[last].tolist()
            assert users.items[row, len(last) :].sum() == 0
            assert users.liked[row, : len(last)].tolist() == (ratings.rating[last] > 3).tolist()


def test_first_of_second_is_the_users_first_event_of_that_second(ratings: Ratings) -> None:
    first = first_of_second(ratings)
    earliest: dict[tuple[int, int], int] = {}
    for place, key in enumerate(zip(ratings.userid.tolist(), ratings.ts.tolist(), strict=True)):
        assert first[place] == earliest.setdefault(key, place)
