"""Changes of items and users as records of the log: attributes by their names, valid or refused with the rule."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import EventError, ItemChange, Schema, UserChange
from features.changes import MOST_VERSION, canonical, revision
from features.dataset import parse
from tests import movielens, shop

SHOP = shop.SCHEMA.events
FILMS = movielens.SCHEMA.events

LAMP = {
    "title": "Lamp",
    "categories": ["garden", "toys"],
    "brand": "brand 3",
    "price": 12.5,
    "text": "Gives light.",
}

texts = st.text(st.characters(codec="utf-8"), max_size=8)
words = st.fixed_dictionaries(
    {},
    optional={
        "title": texts | st.none(),
        "categories": st.lists(st.sampled_from(["garden", "kitchen", "toys", "boats"]), max_size=5) | st.none(),
        "brand": st.sampled_from(["brand 1", "brand 2", "no brand"]) | st.none(),
        "price": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9) | st.none(),
        "text": texts | st.none(),
    },
)
versions = st.integers(1, MOST_VERSION)


def record(**fields: object) -> tuple[bytes, bytes]:
    key = str(fields.get("itemid", fields.get("userid"))).encode()
    return key, json.dumps({"schema_version": 3} | fields).encode()


@given(st.sampled_from(["a", "é b"]), versions, words)
def test_a_change_of_an_item_is_read_as_it_was_written(itemid: str, version: int, given_words: dict) -> None:
    change = SHOP.item_change(itemid, version, given_words)
    assert SHOP.decode(*SHOP.encode(change)) == change
    assert json.loads(SHOP.encode(change)[1]) == SHOP.fields(change)
    assert SHOP.fields(change) == {"schema_version": 3, "itemid": itemid, "version": version, "item": given_words}


def test_an_item_has_the_attributes_that_a_change_names() -> None:
    change = SHOP.item_change("lamp", 7, LAMP)
    assert change.item == shop.item("lamp", "Lamp", (0, 2), 3, 12.5, "Gives light.")
    assert change.order == (7, canonical(LAMP))


def test_what_a_change_does_not_name_is_missing() -> None:
    assert SHOP.item_change("lamp", 7, {}).item == shop.item("lamp")
    assert SHOP.item_change("lamp", 7, dict.fromkeys(LAMP)).item == shop.item("lamp")


def test_a_value_that_the_schema_does_not_know_counts_as_missing_and_is_reported() -> None:
    given_words = {"categories": ["boats", "garden", "boats"], "brand": "no brand", "title": "Ark"}
    assert SHOP.item_change("ark", 1, given_words).item == shop.item("ark", "Ark", (0,))
    assert SHOP.unknown_item_values(given_words) == {"categories": ["boats"], "brand": ["no brand"]}
    assert SHOP.unknown_item_values(LAMP) == {}
    assert SHOP.unknown_user_values({"segment": "old"}) == {"segment": ["old"]}


def test_what_follows_from_another_attribute_is_derived_unless_it_is_given() -> None:
    film = {"title": "Heat", "year": 1995, "genres": ["Crime"]}
    heat = movielens.item(7, "Heat", 1995, (movielens.GENRES.index("Crime"),))
    assert FILMS.item_change(7, 1, film).item == heat
    assert FILMS.item_change(7, 1, film | {"decade": 1980}).item != heat
    assert FILMS.item_change(7, 1, film | {"decade": 1980}).item.terms[1] == (7,)


def test_every_attribute_of_an_item_can_be_written_as_it_is_shown() -> None:
    for schema, item in (
        (shop.SCHEMA, shop.item("lamp", "Lamp", (0, 2), 3, 12.5, "Gives light.")),
        (shop.SCHEMA, shop.item("lamp")),
        (movielens.SCHEMA, movielens.item(7, "Heat", 1995, (1, 5))),
    ):
        attributes = zip(schema.item_attributes, item.values, strict=True)
        shown = {"title": item.title} | {attribute.name: attribute.shown(value) for attribute, value in attributes}
        assert schema.events.item_change(item.itemid, 1, json.loads(json.dumps(shown))).item == item


def test_a_withdrawal_is_read_as_it_was_written_and_is_below_attributes_of_its_version() -> None:
    withdrawal = SHOP.withdrawal("lamp", 7)
    assert (withdrawal.item, withdrawal.withdrawn) == (None, True)
    assert SHOP.decode(*SHOP.encode(withdrawal)) == withdrawal
    assert SHOP.fields(withdrawal) == {"schema_version": 3, "itemid": "lamp", "version": 7, "withdrawn": True}
    assert withdrawal.order < SHOP.item_change("lamp", 7, {}).order < SHOP.withdrawal("lamp", 8).order


def test_a_change_of_a_user_is_read_as_it_was_written() -> None:
    change = SHOP.user_change("u", {"segment": "regular"})
    assert change == UserChange("u", shop.user("u", 1), '{"segment":"regular"}')
    assert SHOP.decode(*SHOP.encode(change)) == change
    assert SHOP.user_change("u", {}).user == shop.user("u")
    film_lover = FILMS.user_change(7, {"gender": "F", "age": "25", "occupation": None})
    assert film_lover.user == movielens.user(7, 0, 2)


def test_an_item_of_any_kind_of_id_has_its_id_as_key() -> None:
    assert FILMS.encode(FILMS.withdrawal(7, 1))[0] == b"7"
    assert FILMS.decode(*record(itemid=7, version=1, withdrawn=True)) == ItemChange(7, 1, None, "")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "has either an itemid or a userid"),
        ({"itemid": "a", "userid": "u", "version": 1, "item": {}}, "has either an itemid or a userid"),
        ({"itemid": "a", "version": 1}, "has either item or withdrawn"),
        ({"itemid": "a", "version": 1, "item": {}, "withdrawn": True}, "has either item or withdrawn"),
        ({"itemid": "a", "version": 1, "withdrawn": 1}, "withdrawn must be true"),
        ({"itemid": "a", "version": 1, "item": None}, "item must be an object"),
        ({"itemid": "a", "version": 1, "item": []}, "item must be an object"),
        ({"itemid": "a", "item": {}}, "version must be a whole number from 1 to 9223372036854775807"),
        ({"itemid": "a", "version": 0, "item": {}}, "version must be a whole number"),
        ({"itemid": "a", "version": 1.0, "item": {}}, "version must be a whole number"),
        ({"itemid": "a", "version": True, "item": {}}, "version must be a whole number"),
        ({"itemid": "a", "version": 2**63, "withdrawn": True}, "version must be a whole number"),
        ({"itemid": 7, "version": 1, "item": {}}, "itemid must be a text"),
        ({"itemid": "a", "version": 1, "item": {"colour": "red"}}, "it has title, categories, brand, price, text"),
        ({"itemid": "a", "version": 1, "item": {"name": "Lamp"}}, "has an attribute that the data set does not have"),
        ({"itemid": "a", "version": 1, "item": {"title": 7}}, r"item\.title must be a text, or null"),
        ({"itemid": "a", "version": 1, "item": {"title": "\ud800"}}, r"item\.title must be a text, or null"),
        ({"itemid": "a", "version": 1, "item": {"brand": ["brand 1"]}}, r"item\.brand must be a text, or null"),
        ({"itemid": "a", "version": 1, "item": {"categories": "toys"}}, r"item\.categories must be a list of texts"),
        ({"itemid": "a", "version": 1, "item": {"categories": [7]}}, r"item\.categories must be a list of texts"),
        ({"itemid": "a", "version": 1, "item": {"price": "5"}}, r"item\.price must be a number, or null"),
        ({"itemid": "a", "version": 1, "item": {"price": True}}, r"item\.price must be a number, or null"),
        ({"itemid": "a", "version": 1, "item": {"price": float("nan")}}, r"item\.price must be a number, or null"),
        ({"itemid": "a", "version": 1, "item": {"price": 10**400}}, r"item\.price must be a number, or null"),
        ({"userid": "u"}, "user must be an object"),
        ({"userid": "u", "user": {"segment": 1}}, r"user\.segment must be a text, or null"),
        ({"userid": "u", "user": {"title": "Dr"}}, "user has an attribute that the data set does not have"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused_with_the_rule(fields: dict, reason: str) -> None:
    with pytest.raises(EventError, match=reason):
        SHOP.decode(*record(**fields))


def test_a_number_that_is_whole_takes_no_other() -> None:
    assert FILMS.item_change(7, 1, {"year": 1995}).item == movielens.item(7, "", 1995)
    for year in (1995.0, 2**63, True):
        with pytest.raises(EventError, match=r"item\.year must be a whole number, or null"):
            FILMS.item_change(7, 1, {"year": year})


DERIVED = """
name = "Derived"

[files.things]
path = "things.csv"
format = "csv"

[[events]]
file = "things"
user = "who"
item = "id"
time = "at"
event = "like"
value = "like"

[feedback.like]
positive = "value >= 1"
value = {}

[items]
ids = "string"
file = "things"
id = "id"

[items.attributes.name]
kind = "title"
of = "label"
pattern = '(.*) \\(.*\\)'

[items.attributes.label]
kind = "text"
column = "label"

[items.attributes.year]
kind = "number"
of = "label"
pattern = '.* \\((.*)\\)'
whole = true
maximum = 3000
default = 1900

[items.attributes.tags]
kind = "categories"
of = "label"
separator = " "
values = ["Old", "New"]

[items.attributes.state]
kind = "category"
column = "state"
values = ["used", "unused"]
default = "unused"

[users]
ids = "string"
"""


@pytest.mark.parametrize(
    ("given_words", "title", "year", "tags", "state"),
    [
        ({"label": "Old Chair (1850)", "state": "used"}, "Old Chair", 1850, (0,), 0),
        ({"label": "New Old Desk"}, "", 1900, (0, 1), 1),
        ({"label": "Bed (9999)", "title": "Bed", "tags": []}, "Bed", 1900, (), 1),
        ({"label": "Bed (1e400)"}, "Bed", 1900, (), 1),
        ({"label": "Bed (1850)", "year": 1700, "tags": ["New"]}, "Bed", 1700, (1,), 1),
        ({}, "", 1900, (), 1),
    ],
)
def test_patterns_bounds_and_defaults_of_the_description_hold_for_changes(
    given_words: dict, title: str, year: int, tags: tuple[int, ...], state: int
) -> None:
    item = Schema(parse(DERIVED)).events.item_change("x", 1, given_words).item
    assert (item.title, item.values[1:]) == (title, (year, tags, state))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"itemid": "a", "version": 1, "item": {}}, "key is not the itemid in UTF-8"),
        ({"userid": "a", "user": {}}, "key is not the userid in UTF-8"),
    ],
)
def test_the_key_of_a_change_is_the_id(fields: dict, reason: str) -> None:
    with pytest.raises(EventError, match=reason):
        SHOP.decode(b"b", record(**fields)[1])


@given(words, words)
def test_a_revision_names_the_attributes(one: dict, other: dict) -> None:
    same = canonical(one) == canonical(other)
    assert (revision(canonical(one)) == revision(canonical(other))) == same
    assert 0 < revision(canonical(one)) < 2**63


@pytest.mark.parametrize("schema", [shop.SCHEMA, movielens.SCHEMA])
def test_a_schema_reads_the_same_changes_after_it_was_stored(schema: Schema) -> None:
    key, value = schema.events.encode(schema.events.item_change(*ONE[schema]))
    stored = Schema.from_json(schema.to_json())
    assert stored.events.decode(key, value) == schema.events.decode(key, value)


ONE = {shop.SCHEMA: ("lamp", 7, LAMP), movielens.SCHEMA: (7, 1, {"title": "Heat", "year": 1995, "genres": ["Crime"]})}
