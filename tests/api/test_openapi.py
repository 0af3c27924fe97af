"""The OpenAPI document is made from the schema of the data set."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from api.data_set import DataSetApi
from api.messages import parse
from api.openapi import Description, document
from features import Learned, LearnedAttribute, Schema
from features.dataset import parse as parse_description
from settings import ApiSettings
from tests import movielens, shop

NAMES = ("copy", "json", "model_year", "model_dump", "construct", "validate", "dict", "constructor", "named_copy")
"""Names that pydantic has for itself, or that could be mistaken for others."""


def awkward() -> Schema:
    """A data set whose attributes and types of events have such names."""
    text = shop.DESCRIPTION.replace("feedback.view", "feedback.schema_json").replace("feedback.cart", "feedback.copy")
    attributes = "".join(
        f'\n[items.attributes.{name}]\nkind = "category"\ncolumn = "{name}"\nterm = true\nvalues = ["a", "b"]\n'
        for name in NAMES
    )
    learned = {name: LearnedAttribute(values=("x", "y")) for name in ("categories", "brand")}
    return Schema(parse_description(text + attributes), Learned(items=learned))


def described(schema: Schema) -> dict[str, Any]:
    return document(ApiSettings(), DataSetApi(schema), guarded=False)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("schema", [movielens.SCHEMA, shop.SCHEMA, awkward()], ids=["films", "shop", "awkward"])
def test_every_reference_leads_to_a_schema_and_the_document_is_json(schema: Schema) -> None:
    told = json.loads(json.dumps(described(schema)))
    known = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    assert {*references(told)} <= known
    assert schema.dataset.name in told["info"]["description"]


def properties(told: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = told["components"]["schemas"][name]["properties"]
    return found


def test_films_are_described_as_before() -> None:
    told = described(movielens.SCHEMA)
    assert set(properties(told, "ListedItem")) == {"itemid", "score", "title", "year", "genres", "explain"}
    # A change may leave out what the files must have.
    assert properties(told, "ListedItem")["year"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert properties(told, "ListedItem")["genres"]["items"] == {"type": "string"}
    assert set(properties(told, "RatingRequest")) == {"userid", "itemid", "rating", "ts"}
    assert properties(told, "RatingRequest")["rating"] == {
        "title": "Rating",
        "type": "integer",
        "minimum": 1,
        "maximum": 5,
    }
    (userid,) = told["paths"]["/users/{userid}"]["get"]["parameters"]
    assert userid["schema"] == {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
    assert told["components"]["schemas"]["RatingRequest"]["required"] == ["userid", "itemid", "rating"]


@pytest.mark.parametrize("path", ["/items/{itemid}/similar", "/items/popular", "/items/latest"])
def test_lists_of_items_take_a_size_a_filter_and_every_attribute(path: str) -> None:
    told = {each["name"]: each for each in described(shop.SCHEMA)["paths"][path]["get"]["parameters"]}
    assert {*told} - {"itemid"} == {"size", "filter", "categories", "brand", "price"}
    assert told["categories"]["schema"]["items"]["enum"] == ["garden", "kitchen", "toys"]
    years = {each["name"]: each for each in described(movielens.SCHEMA)["paths"][path]["get"]["parameters"]}
    assert years["year"]["schema"] == {"type": "number"}


def test_a_batch_is_a_list_of_requests_and_of_answers() -> None:
    operation = described(shop.SCHEMA)["paths"]["/ml/rec/batch"]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["schema"]
    assert (asked["type"], asked["maxItems"]) == ("array", 100)
    assert asked["items"]["$ref"].endswith("/RecommendationRequest")
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["items"]["$ref"].endswith(
        "/Recommendation"
    )


def test_a_shop_is_described_in_its_own_terms() -> None:
    told = described(shop.SCHEMA)
    assert "/ratings" not in told["paths"] and "RatingRequest" not in told["components"]["schemas"]
    assert set(properties(told, "ListedItem")) == {
        *("itemid", "score", "title", "explain"),
        *("categories", "brand", "price"),
    }
    assert properties(told, "ListedItem")["price"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert set(properties(told, "ItemState")) >= {"categories", "brand", "price", "text"}
    assert properties(told, "EventRequest")["event"]["anyOf"][0]["enum"] == ["view", "cart", "purchase"]
    assert properties(told, "EventRequest")["userid"]["type"] == "string"
    assert set(properties(told, "ItemRequest")) == {"version", "title", "categories", "brand", "price", "text"}
    assert properties(told, "ItemRequest")["price"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert set(properties(told, "UserRequest")) == {"segment"}
    assert properties(told, "ItemChangeAccepted")["itemid"]["type"] == "string"
    assert set(properties(told, "Filter")) == {"categories", "brand", "price"}
    assert properties(told, "Condition_categories")["any"]["anyOf"][0]["items"]["enum"] == ["garden", "kitchen", "toys"]
    (itemid,) = told["paths"]["/items/{itemid}"]["get"]["parameters"]
    assert (itemid["schema"]["type"], itemid["schema"]["maxLength"]) == ("string", 128)


def test_names_of_a_data_set_may_be_those_that_pydantic_has_for_itself() -> None:
    schema = awkward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data_set = DataSetApi(schema)
    item = schema.item("i1", "One", ((), -1, None, None, *[1] * len(NAMES)))
    made = data_set.answers.listed_item(itemid="i1", score=1.0, title="One", **data_set.answers.listed(item))
    assert {name: json.loads(made.model_dump_json(by_alias=True))[name] for name in NAMES} == dict.fromkeys(NAMES, "b")
    wanted = parse(
        data_set.requests.recommendation, {"userid": "u", "filter": {name: {"any": ["a"]} for name in NAMES}}
    )
    assert wanted.filter is not None
    (event,) = data_set.requests.events_of({"userid": "u", "itemid": "i1", "event": "copy"}, 9)
    assert schema.events.fields(event)["event"] == "copy"


def test_the_document_is_made_again_only_for_another_data_set() -> None:
    description, films = Description(ApiSettings()), DataSetApi(movielens.SCHEMA)
    first = description.of(films)
    assert description.of(films) is first
    assert description.of(DataSetApi(shop.SCHEMA)) is not first


def test_the_limits_of_the_settings_are_in_the_document() -> None:
    told = document(ApiSettings(max_size=77, max_history=88), DataSetApi(shop.SCHEMA), guarded=False)
    fields = properties(told, "RecommendationRequest")
    assert (fields["size"]["maximum"], fields["exclude"]["maxItems"]) == (77, 88)
    body = told["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["anyOf"][1]["maxItems"] == 1000
