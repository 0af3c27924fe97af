"""Discoveries: the first event of all of a user with an item that the user then likes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.data.readers import Ratings
from offline.data.split import Split
from offline.data.windows import sequences, shuffled
from tests import shop
from tests.shop import CART, PURCHASE, SCHEMA, VIEW

USERS, ITEMS = ("u1", "u2"), ("a", "b", "c")
CATALOGUE = shop.catalogue([shop.item(itemid) for itemid in ITEMS], [shop.user(userid) for userid in USERS])

Happened = list[tuple[str, str, int, int]]
"""(user, item, code, second)."""

HAPPENED = st.lists(
    st.tuples(
        st.sampled_from(USERS), st.sampled_from(ITEMS), st.sampled_from([VIEW, CART, PURCHASE]), st.integers(0, 9)
    ),
    max_size=25,
)


def events_of(happened: Happened) -> Ratings:
    users, items, codes, seconds = zip(*happened, strict=True) if happened else ((), (), (), ())
    numbers = (np.array(values, dtype=np.int64) for values in (codes, seconds))
    return Ratings.of(Path(), SCHEMA, CATALOGUE, users, items, *numbers)


def slow_targets(events: Ratings, places: list[int]) -> list[bool]:
    """The slow, obvious way."""
    order = sorted(range(len(events)), key=lambda place: (events.ts[place], place))
    inside = [place for place in order if place in places]

    def same(place: int, other: int) -> bool:
        return (events.user[place], events.item[place]) == (events.user[other], events.item[other])

    def is_target(place: int) -> bool:
        mine = [other for other in inside if same(place, other)]
        before = [other for other in order[: order.index(place)] if same(place, other)]
        bought = any(events.code[other] == PURCHASE for other in mine)
        return mine[0] == place and bought and not before

    return [is_target(place) for place in places]


@given(HAPPENED, st.integers(0, 10))
def test_discoveries_are_those_of_the_obvious_way(happened: Happened, second: int) -> None:
    events = events_of(happened)
    for places in (np.flatnonzero(events.ts < second), np.flatnonzero(events.ts >= second)):
        assert events.targets(places).tolist() == slow_targets(events, places.tolist())
        assert events.targets(places[::-1]).tolist() == slow_targets(events, places.tolist())[::-1]


@given(HAPPENED, st.integers(0, 2**32))
def test_no_event_of_its_item_comes_before_a_target_of_a_sequence(happened: Happened, seed: int) -> None:
    events = events_of(happened)
    everything = np.arange(len(events))
    plain = sequences(events, everything)
    assert plain.target.sum() == events.targets(everything).sum()
    for made in (plain, shuffled(plain, np.random.default_rng(seed))):
        user = made.user_of_event()
        for place in np.flatnonzero(made.target).tolist():
            assert not ((made.item[:place] == made.item[place]) & (user[:place] == user[place])).any()


def test_a_view_that_leads_to_a_purchase_is_the_target_and_the_purchase_is_none() -> None:
    events = events_of([("u1", "a", VIEW, 1), ("u1", "b", VIEW, 2), ("u1", "a", CART, 3), ("u1", "a", PURCHASE, 4)])
    assert events.targets(np.arange(4)).tolist() == [True, False, False, False]
    assert events.targets(np.array([2, 3])).tolist() == [False, False], "the item was known before"


def test_a_cart_alone_is_no_target_and_what_was_bought_before_is_none_again() -> None:
    events = events_of([("u1", "a", PURCHASE, 1), ("u1", "b", CART, 2), ("u1", "a", VIEW, 3), ("u1", "a", PURCHASE, 4)])
    assert events.targets(np.array([1, 2, 3])).tolist() == [False, False, False]


def test_every_like_of_films_is_a_discovery(ratings: Ratings, parts: Split) -> None:
    for places in vars(parts).values():
        assert np.array_equal(ratings.targets(places), ratings.positive[places])


def test_the_shop_has_discoveries_that_are_views(shop_events: Ratings) -> None:
    found = np.flatnonzero(shop_events.targets(np.arange(len(shop_events))))
    assert len(found) > 100
    assert (shop_events.code[found] == VIEW).mean() > 0.5


@pytest.mark.parametrize("places", [[], [0]])
def test_no_events_and_one_are_fine(places: list[int]) -> None:
    events = events_of([("u1", "a", PURCHASE, 1)])
    assert events.targets(np.array(places, dtype=np.int64)).tolist() == [True] * len(places)
