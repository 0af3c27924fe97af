"""Events as requests send them: of the types of the data set, one or a list, all of which are checked first."""

from __future__ import annotations

from typing import Any

import pytest

from api.data_set import DataSetApi
from api.data_set_requests import MAX_EVENTS, DataSetRequests
from api.messages import RequestError, parse
from features import Event, Schema
from features.dataset import Condition, Feedback, LastEvents
from features.dataset.feedback import ValueRange
from tests import movielens, shop
from tests.shop import CART, PURCHASE

NOW = 1_700_000_000
FILMS, SHOP = DataSetApi(movielens.SCHEMA), DataSetApi(shop.SCHEMA)
PLAYS = DataSetApi(
    Schema(
        movielens.SCHEMA.dataset.model_copy(
            update={
                "feedback": {
                    "play": Feedback(value=ValueRange(minimum=0), positive=Condition("value >= 30")),
                    "copy": Feedback(positive=Condition("always")),
                },
                "split": LastEvents(kind="last", events=1),
            }
        )
    )
)
"""Seconds of playing, which have no codes of their own, and a type with a name that pydantic has for itself."""


def event_of(data_set: DataSetApi, **fields: Any) -> Event:
    (event,) = data_set.requests.events_of(fields, NOW)
    return event


def test_a_rating_is_an_event_in_its_short_form_or_spelt_out() -> None:
    assert event_of(FILMS, userid=7, itemid=1, rating=5, ts=9) == Event(7, 1, 5, 9)
    assert event_of(FILMS, userid=7, itemid=1, event="rating", value=5, ts=9) == Event(7, 1, 5, 9)
    assert event_of(FILMS, userid=7, itemid=1, rating=5) == Event(7, 1, 5, NOW)


def test_an_event_of_a_shop_names_its_type() -> None:
    assert event_of(SHOP, userid="u 1", itemid="i/1", event="cart", ts=9) == Event("u 1", "i/1", CART, 9)
    assert event_of(SHOP, userid="ü", itemid="i", event="purchase") == Event("ü", "i", PURCHASE, NOW)


def test_a_value_that_has_no_code_of_its_own_is_kept() -> None:
    assert event_of(PLAYS, userid=7, itemid=1, play=31.5, ts=9) == Event(7, 1, 1, 9, value=31.5)
    assert event_of(PLAYS, userid=7, itemid=1, event="play", value=3, ts=9) == Event(7, 1, 2, 9, value=3.0)
    assert event_of(PLAYS, userid=7, itemid=1, event="copy", ts=9) == Event(7, 1, 3, 9)


@pytest.mark.parametrize(
    ("data_set", "fields", "sentence"),
    [
        (FILMS, {"userid": 7, "itemid": 1}, "rating is missing"),
        (FILMS, {"userid": 7, "itemid": 1, "rating": 6}, "rating: input should be less than or equal to 5"),
        (FILMS, {"userid": 7, "itemid": 1, "rating": 4.5}, "rating: input should be a valid integer"),
        (FILMS, {"userid": 7, "itemid": 1, "event": "rating"}, "value must be a whole number from 1 to 5"),
        (FILMS, {"userid": 7, "itemid": 1, "event": "rating", "value": 9}, "value must be a whole number from 1 to 5"),
        (FILMS, {"userid": 7, "itemid": 1, "event": "view"}, "event: input should be 'rating'"),
        (FILMS, {"userid": 7, "itemid": 1, "rating": 5, "ts": -1}, "ts: input should be greater than or equal to 0"),
        (FILMS, {"userid": 7, "rating": 5}, "itemid: field required"),
        (FILMS, {"userid": 7, "itemid": 1, "rating": 5, "stars": 5}, "stars: extra inputs are not permitted"),
        (FILMS, {"userid": "7", "itemid": 1, "rating": 5}, "userid: input should be a valid integer"),
        (SHOP, {"userid": "u", "itemid": "i"}, "event is missing"),
        (
            SHOP,
            {"userid": "u", "itemid": "i", "event": "rating", "value": 5},
            "event: input should be 'view', 'cart' or",
        ),
        (SHOP, {"userid": "u", "itemid": "i", "event": "view", "value": 5}, "value must be absent, as events of the"),
        (SHOP, {"userid": 7, "itemid": "i", "event": "view"}, "userid: input should be a valid string"),
        (PLAYS, {"userid": 7, "itemid": 1, "play": -1}, "play: input should be greater than or equal to 0"),
        (PLAYS, {"userid": 7, "itemid": 1, "play": 1e999}, "play: input should be a finite number"),
        (PLAYS, {"userid": 7, "itemid": 1, "event": "copy", "value": 5}, "value must be absent, as events of the type"),
        (SHOP, 7, "the body must be a JSON object or a list of them"),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused_with_the_rule(data_set: DataSetApi, fields: Any, sentence: str) -> None:
    with pytest.raises(RequestError) as told:
        data_set.requests.events_of(fields, NOW)
    assert str(told.value).startswith(sentence)


GOOD = {"userid": "u", "itemid": "i", "event": "view"}


def test_a_list_keeps_its_order_and_one_time_for_all_that_have_none() -> None:
    events = SHOP.requests.events_of([GOOD, GOOD | {"userid": "v", "ts": 5}, GOOD], NOW)
    assert [(event.userid, event.ts) for event in events] == [("u", NOW), ("v", 5), ("u", NOW)]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([GOOD, GOOD | {"event": "rent"}], "1.event: input should be 'view', 'cart' or 'purchase'"),
        ([GOOD, GOOD, GOOD | {"value": 5}], "2: value must be absent, as events of the type view have no value"),
        ([GOOD, {"userid": "u", "itemid": "i"}], "1: event is missing"),
        ([GOOD, "view"], "1: must be a JSON object"),
        ([GOOD, GOOD | {"x" * 1000: 1}], f"1.{'x' * 100}: extra inputs are not permitted"),
        ([], f"the list must have 1 to {MAX_EVENTS} events, and has 0"),
        ([GOOD] * (MAX_EVENTS + 1), f"the list must have 1 to {MAX_EVENTS} events, and has {MAX_EVENTS + 1}"),
    ],
)
def test_an_event_of_a_list_that_breaks_a_rule_is_refused_with_its_place(body: list[Any], sentence: str) -> None:
    with pytest.raises(RequestError) as told:
        SHOP.requests.events_of(body, NOW)
    assert str(told.value).startswith(sentence)


def test_the_longest_list_is_accepted() -> None:
    assert len(SHOP.requests.events_of([GOOD] * MAX_EVENTS, NOW)) == MAX_EVENTS


def test_only_a_data_set_with_ratings_has_a_body_for_them() -> None:
    rating = FILMS.requests.rating
    assert rating is not None
    wanted = parse(rating, {"userid": 7, "itemid": 1, "rating": 3})
    assert FILMS.requests.event_of(wanted, NOW) == Event(7, 1, 3, NOW)
    for fields in ({"userid": 7, "itemid": 1}, {"userid": 7, "itemid": 1, "event": "rating", "value": 3}):
        with pytest.raises(RequestError):
            parse(rating, fields)
    assert DataSetRequests(shop.SCHEMA).rating is None
