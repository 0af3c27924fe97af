"""Changes of items and users as requests send them: the attributes of the data set, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from api.change_requests import LARGEST, Versions, version_in_query
from api.data_set import DataSetApi
from api.messages import RequestError
from features.changes import MOST_VERSION
from tests import movielens, shop

FILMS, SHOP = DataSetApi(movielens.SCHEMA), DataSetApi(shop.SCHEMA)
NOW = 1_700_000_000_000_000


def test_a_product_is_made_from_its_attributes() -> None:
    body = {"title": "Spade", "categories": ["toys", "garden"], "brand": "brand 3", "price": 12.5, "text": "Digs."}
    change, unknown = SHOP.changes.put("i/1", body, NOW)
    assert (change.itemid, change.version, change.withdrawn, unknown) == ("i/1", NOW, False, {})
    assert change.item == shop.item("i/1", "Spade", (0, 2), brand=3, price=12.5, text="Digs.")


def test_what_the_catalogue_shows_of_an_item_can_be_sent_back() -> None:
    film = movielens.item(7, "Twelve", 1995, (0, 4))
    shown = json.loads(
        FILMS.answers.item(
            itemid=7, title=film.name, n=0, likes=0, recent_likes=0, last_ts=0, **FILMS.answers.attributes(film)
        ).model_dump_json(by_alias=True, exclude_unset=True)
    )
    attributes = {name: value for name, value in shown.items() if name in {"title", "year", "genres", "decade"}}
    assert FILMS.changes.put(7, attributes, NOW).change.item == film
    without = {name: value for name, value in attributes.items() if name != "decade"}
    assert FILMS.changes.put(7, without, NOW).change.item == film


def test_values_that_the_data_set_does_not_have_are_named_and_stay_in_the_record() -> None:
    change, unknown = SHOP.changes.put("i1", {"categories": ["garden", "pets"], "brand": "no brand"}, NOW)
    assert unknown == {"categories": ["pets"], "brand": ["no brand"]}
    assert change.item == shop.item("i1", categories=(0,))
    _, value = shop.SCHEMA.events.encode(change)
    assert json.loads(value)["item"]["categories"] == ["garden", "pets"]


def test_a_change_says_its_version_or_has_that_of_the_clock() -> None:
    assert SHOP.changes.put("i1", {"version": 7}, NOW).change.version == 7
    assert SHOP.changes.put("i1", {"version": None}, NOW).change.version == NOW
    assert SHOP.changes.put("i1", {}, NOW).change.item == shop.item("i1")
    assert SHOP.changes.withdrawal("i1", 9).version == 9


def test_a_user_is_made_from_the_attributes() -> None:
    change, unknown = SHOP.changes.of_user("u", {"segment": "regular"})
    assert (change.user, unknown) == (shop.user("u", 1), {})
    change, unknown = SHOP.changes.of_user("u", {"segment": "other"})
    assert (change.user, unknown) == (shop.user("u"), {"segment": ["other"]})
    assert FILMS.changes.of_user(7, {"gender": "M", "age": "25"})[0].user == movielens.user(7, 1, 2)


@pytest.mark.parametrize(
    ("data_set", "body", "sentence"),
    [
        (SHOP, 7, "the body must be a JSON object"),
        (SHOP, {"colour": "red"}, "colour: extra inputs are not permitted"),
        (SHOP, {"name": "Spade"}, "name: extra inputs are not permitted"),
        (SHOP, {"title": 7}, "title: input should be a valid string"),
        (SHOP, {"categories": "garden"}, "categories: input should be a valid list"),
        (SHOP, {"categories": ["garden", 7]}, "categories.1: input should be a valid string"),
        (SHOP, {"brand": ["brand 1"]}, "brand: input should be a valid string"),
        (SHOP, {"price": "5"}, "price: input should be a valid number"),
        (SHOP, {"price": True}, "price: input should be a valid number"),
        (SHOP, {"price": float("inf")}, "price: input should be a finite number"),
        (SHOP, {"version": 0}, "version: input should be greater than or equal to 1"),
        (SHOP, {"version": MOST_VERSION + 1}, f"version: input should be less than or equal to {MOST_VERSION}"),
        (SHOP, {"version": "7"}, "version: input should be a valid integer"),
        (SHOP, {"withdrawn": True}, "withdrawn: extra inputs are not permitted"),
        (FILMS, {"year": 1995.5}, "year: input should be a valid integer"),
        (FILMS, {"year": LARGEST + 1}, f"year: input should be less than or equal to {LARGEST}"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused_with_the_rule(data_set: DataSetApi, body: Any, sentence: str) -> None:
    with pytest.raises(RequestError) as told:
        data_set.changes.put("i1" if data_set is SHOP else 7, body, NOW)
    assert str(told.value).startswith(sentence) and told.value.status == 400


def test_versions_of_the_clock_are_never_the_same() -> None:
    versions = Versions()
    made = [versions.next() for _ in range(1000)]
    assert made == sorted({*made}) and made[0] > NOW


@pytest.mark.parametrize(
    ("query", "version"), [("", None), ("?version=7", 7), (f"?version={MOST_VERSION}", MOST_VERSION)]
)
def test_a_withdrawal_may_name_its_version_in_the_address(query: str, version: int | None) -> None:
    with Flask("test").test_request_context(f"/{query}"):
        assert version_in_query() == version


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "x", "²", "9" * 30, str(MOST_VERSION + 1)])
def test_a_version_in_the_address_that_is_none_is_refused(text: str) -> None:
    rule = f"^version: must be a whole number from 1 to {MOST_VERSION}$"
    context = Flask("test").test_request_context("/", query_string={"version": text})
    with context, pytest.raises(RequestError, match=rule):
        version_in_query()
