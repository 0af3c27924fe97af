"""A session: the events that a request brings along, of a user who is not stored."""

from __future__ import annotations

from typing import Any

import pytest

from api.data_set import DataSetApi
from api.messages import RequestError, parse
from api.session import nobody, session_events, session_profile, session_state
from features import Event, Item, Schema
from tests import movielens, shop
from tests.shop import CART, PURCHASE, VIEW

FILMS, SHOP = DataSetApi(movielens.SCHEMA), DataSetApi(shop.SCHEMA)
PRODUCTS: dict[Any, Item] = {itemid: shop.item(itemid, categories=(0,)) for itemid in ("i1", "i2", "i3")}


def events(data_set: DataSetApi, *history: dict[str, Any]) -> list[Event]:
    request = parse(data_set.requests.recommendation, {"history": list(history)}, 1000)
    return session_events(data_set, request.history or [])


@pytest.mark.parametrize("schema", [movielens.SCHEMA, shop.SCHEMA])
def test_a_session_is_of_a_user_who_cannot_be(schema: Schema) -> None:
    assert not schema.user_ids.valid(nobody(schema))


def test_an_entry_that_says_nothing_is_the_event_that_says_most() -> None:
    assert events(FILMS, {"itemid": 1}) == [Event(0, 1, 5, 1)]
    assert events(SHOP, {"itemid": "i1"}) == [Event("", "i1", PURCHASE, 1)]


def test_an_entry_says_its_type_or_its_value_and_one_without_a_time_follows_the_one_before() -> None:
    assert events(FILMS, {"itemid": 1, "rating": 2, "ts": 9}, {"itemid": 2, "event": "rating", "value": 4}) == [
        Event(0, 1, 2, 9),
        Event(0, 2, 4, 10),
    ]
    assert events(SHOP, {"itemid": "i1", "event": "view"}, {"itemid": "i2", "event": "cart", "ts": 7}) == [
        Event("", "i1", VIEW, 1),
        Event("", "i2", CART, 7),
    ]


def test_a_value_that_the_type_cannot_have_is_refused_with_its_place() -> None:
    with pytest.raises(RequestError, match=r"^history\.1: value must be absent"):
        events(SHOP, {"itemid": "i1"}, {"itemid": "i1", "event": "view", "value": 5})
    with pytest.raises(RequestError, match=r"^history\.0: value must be a whole number from 1 to 5"):
        events(FILMS, {"itemid": 1, "event": "rating", "value": 6})
    with pytest.raises(RequestError, match=r"^history\.0: event is missing"):
        events(SHOP, {"itemid": "i1", "value": 6})


def test_the_later_of_two_ratings_of_a_film_counts() -> None:
    films: dict[Any, Item] = {1: movielens.item(1, genres=(0,))}
    history = [{"itemid": 1, "rating": 5}, {"itemid": 1, "rating": 2}]
    profile, seen = session_profile(movielens.SCHEMA, events(FILMS, *history), films)
    assert (profile.n, profile.likes, profile.recent) == (1, 0, [(2, 1, 2)])
    assert seen == {1: ((2, 2),)}


def test_a_list_leaves_out_what_was_purchased_and_not_what_was_viewed() -> None:
    history = [
        {"itemid": "i1", "event": "view"},
        {"itemid": "i2", "event": "view"},
        {"itemid": "i2", "event": "purchase"},
        {"itemid": "i3", "event": "cart"},
    ]
    state = session_state(shop.SCHEMA, events(SHOP, *history), PRODUCTS)
    assert state.exclude == ["i2"]
    assert [code for _, _, code in state.recent] == [VIEW, VIEW, PURCHASE, CART]


def test_every_film_of_a_session_is_left_out_of_its_list() -> None:
    films: dict[Any, Item] = {itemid: movielens.item(itemid) for itemid in (1, 2)}
    state = session_state(movielens.SCHEMA, events(FILMS, {"itemid": 2, "rating": 1}, {"itemid": 1}), films)
    assert sorted(state.exclude) == [1, 2]  # type: ignore[type-var]
