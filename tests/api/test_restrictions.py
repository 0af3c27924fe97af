"""`filter` and `diversity` of a request, in the terms of the data set."""

from __future__ import annotations

from typing import Any

import pytest

from api.data_set_requests import DataSetRequests
from api.messages import RequestError, parse
from api.restrictions import restriction_of
from features import Schema
from features.columns import ItemTable
from scoring.restriction import NO_RESTRICTION, AllOf, AnyOf, AtMost, Between, Restriction
from tests import movielens, shop

FILMS = movielens.SCHEMA
SHOP = shop.SCHEMA


def asked(schema: Schema, userid: int | str, **fields: Any) -> Restriction:
    return restriction_of(schema, parse(DataSetRequests(schema).recommendation, {"userid": userid, **fields}, 1000))


def test_a_request_without_either_restricts_nothing() -> None:
    assert asked(FILMS, 1) is NO_RESTRICTION
    assert not asked(FILMS, 1, filter={})


def test_conditions_are_those_of_the_attributes() -> None:
    wanted = {"genres": {"any": ["Drama", "War", "Drama"]}, "year": {"min": 1990, "max": 1999}, "decade": {"min": 1990}}
    found = asked(FILMS, 1, filter=wanted, diversity={"attribute": "genres", "most": 3})
    assert set(found.conditions) == {
        AnyOf("genres", ("Drama", "War")),
        Between("year", 1990, 1999),
        Between("decade", 1990, None),
    }
    assert found.at_most == (AtMost("genres", 3),)
    wanted = {"brand": {"all": ["brand 3"]}, "categories": {"any": ["toys"], "all": ["garden", "toys"]}}
    assert set(asked(SHOP, "u", filter=wanted).conditions) == {
        AllOf("brand", ("brand 3",)),
        AnyOf("categories", ("toys",)),
        AllOf("categories", ("garden", "toys")),
    }


def test_a_number_with_buckets_can_be_asked_for_by_their_names_or_by_a_range() -> None:
    items = {str(price): shop.item(str(price), price=price) for price in (5.0, 15.0, 25.0)}
    table = ItemTable(SHOP, items)  # type: ignore[arg-type]
    by_name = asked(SHOP, "u", filter={"price": {"any": ["10 to 20", "20 or more"]}})
    by_range = asked(SHOP, "u", filter={"price": {"min": 10}})
    ids = [itemid for itemid, met in zip(table.itemids, by_name.mask(table), strict=True) if met]
    assert set(ids) == {"15.0", "25.0"}
    assert by_name.mask(table).tolist() == by_range.mask(table).tolist()


@pytest.mark.parametrize(
    ("schema", "userid", "fields", "sentence"),
    [
        (
            FILMS,
            1,
            {"filter": {"genres": {"any": ["Dramma"]}}},
            "filter: genres has no value 'Dramma'; there are: Action",
        ),
        (FILMS, 1, {"filter": {"genres": {}}}, "filter.genres: needs "),
        (FILMS, 1, {"filter": {"year": {"min": 2000, "max": 1990}}}, "filter: year has a lower bound above"),
        (
            SHOP,
            "u",
            {"filter": {"price": {"any": ["cheap"]}}},
            "filter: price has no value 'cheap'; there are: below 10",
        ),
        (FILMS, 1, {"diversity": {"attribute": "colour", "most": 1}}, "diversity: colour is not an attribute by which"),
        (FILMS, 1, {"diversity": {"attribute": "year", "most": 1}}, "diversity: year has no values to count items by"),
        (SHOP, "u", {"diversity": {"attribute": "text", "most": 1}}, "diversity: text is not an attribute by which"),
    ],
)
def test_what_the_data_set_does_not_have_is_refused_with_what_there_is(
    schema: Schema, userid: int | str, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RequestError) as told:
        asked(schema, userid, **fields)
    assert str(told.value).startswith(sentence)
    assert len(str(told.value)) < 400
