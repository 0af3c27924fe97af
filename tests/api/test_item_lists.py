"""Lists of items that follow from no user: their queries, and what is popular, latest or alike without a server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from werkzeug.datastructures import MultiDict

from api.data_set import DataSetApi
from api.item_lists import query_of
from api.latest_items import MOST, READ, first_week, latest
from api.messages import RequestError
from features import Id, ItemCounter
from features.columns import ItemTable
from features.counters import WEEK, count_all
from scoring import RecentCounters
from scoring.fallback import alike
from scoring.restriction import NO_RESTRICTION, AnyOf, Between, Restriction
from settings import ApiSettings
from tests import movielens, shop

FILMS, SHOP = DataSetApi(movielens.SCHEMA), DataSetApi(shop.SCHEMA)
LIMITS = ApiSettings(max_size=40, max_history=5)


def query(data_set: DataSetApi, *given: tuple[str, str]) -> tuple[int, Restriction]:
    return query_of(data_set, MultiDict(given), LIMITS)


def test_a_query_without_parameters_asks_for_ten_items() -> None:
    assert query(FILMS) == (10, NO_RESTRICTION)


def test_an_attribute_is_a_parameter_whose_values_are_alternatives() -> None:
    size, restriction = query(FILMS, ("genres", "Drama"), ("size", "3"), ("genres", "War"), ("year", "1995"))
    assert size == 3
    assert set(restriction.conditions) == {AnyOf("genres", ("Drama", "War")), Between("year", 1995, 1995)}
    assert query(SHOP, ("brand", "brand 3"))[1].conditions == (AnyOf("brand", ("brand 3",)),)
    assert query(SHOP, ("price", "10 to 20"))[1].conditions == (AnyOf("price", ("10 to 20",)),)


def test_a_filter_is_as_in_a_recommendation_and_goes_with_attributes() -> None:
    wanted = json.dumps({"price": {"min": 5}, "categories": {"all": ["toys", "garden"]}})
    _, restriction = query(SHOP, ("filter", wanted), ("brand", "brand 1"))
    assert {type(each).__name__ for each in restriction.conditions} == {"Between", "AllOf", "AnyOf"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([("size", "0")], "size: input should be greater than or equal to 1"),
        ([("size", "41")], "size: input should be less than or equal to 40"),
        ([("size", "many")], "size: must be JSON"),
        ([("size", "1"), ("size", "2")], "size: must be given once"),
        ([("filter", "[")], "filter: must be JSON"),
        ([("filter", "7")], "filter: input should be a valid"),
        ([("filter", '{"genres": {"any": ["Drama"], "none": []}}')], "filter.genres.none: extra inputs"),
        ([("filter", '{"genres": {}}')], "filter.genres: needs any, all, min or max"),
        ([("genres", "Dramma")], "filter: genres has no value 'Dramma'; there are: Action"),
        ([("colour", "red")], "filter: colour is not an attribute by which lists can be restricted; there are:"),
        ([("year", "old")], "year: must be a number"),
        ([("year", "1990"), ("year", "1991")], "year: must be given once"),
        ([("year", "nan")], "filter: year needs a lower or an upper bound, which is a number"),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused_with_the_rule(given: Any, sentence: str) -> None:
    with pytest.raises(RequestError) as refused:
        query(FILMS, *given)
    assert str(refused.value).startswith(sentence)


def table(items: int) -> ItemTable:
    return ItemTable(
        shop.SCHEMA, {f"i{number:04}": shop.item(f"i{number:04}", brand=number % 2) for number in range(items)}
    )


def counters(n: Any, last_ts: Any) -> RecentCounters:
    n, last_ts = np.array(n), np.array(last_ts)
    return RecentCounters(n, n, n, last_ts, half_life_days=30.0)


def asked(first: dict[Id, int], log: list[Id]) -> Any:
    def first_events(itemids: Any) -> dict[Id, int]:
        log.extend(itemids)
        return {itemid: first[itemid] for itemid in itemids if itemid in first}

    return first_events


def test_the_latest_items_are_those_whose_first_event_is_the_latest() -> None:
    # i0001 is old and still watched, i0003 has no events, and i0004 began in the same week as i0000.
    known: dict[Id, int] = {"i0000": 20 * WEEK, "i0002": 21 * WEEK, "i0004": 20 * WEEK}
    states = counters([3, 90, 1, 0, 2], [20 * WEEK + 50, 22 * WEEK, 21 * WEEK + 9, 0, 21 * WEEK])
    found = latest(table(5), states, 9, NO_RESTRICTION, asked(known, []))
    assert found == [(2, 21.0 * WEEK), (4, 20.0 * WEEK), (0, 20.0 * WEEK), (1, 0.0)]
    brand = Restriction((AnyOf("brand", ("brand 0",)),))
    assert [column for column, _ in latest(table(5), states, 2, brand, asked(known, []))] == [2, 4]


def test_without_redis_items_come_by_their_latest_event() -> None:
    states = counters([1, 1, 1], [5, 9, 7])
    assert latest(table(3), states, 2, NO_RESTRICTION, lambda itemids: None) == [(1, 0.0), (2, 0.0)]


def test_no_more_counters_are_read_than_the_list_needs() -> None:
    items = MOST + 700
    last_ts = (items - np.arange(items)) * WEEK
    first: dict[Id, int] = {f"i{number:04}": int(last_ts[number]) for number in range(items)}
    read: list[Id] = []
    found = latest(table(items), counters(np.ones(items), last_ts), 10, NO_RESTRICTION, asked(first, read))
    assert [column for column, _ in found] == list(range(10))
    assert len(read) == READ
    read.clear()
    latest(table(items), counters(np.ones(items), last_ts), 10, NO_RESTRICTION, asked({}, read))
    assert len(read) == MOST


def test_the_week_of_the_first_event_is_known_while_counters_keep_all_events() -> None:
    codes = shop.SCHEMA.codes
    ever = [(week * WEEK + 7, shop.VIEW) for week in (100, 103, 105)]
    assert first_week(count_all(codes, ever)) == 100
    assert first_week(count_all(codes, [*ever, (90 * WEEK, shop.VIEW)])) is None
    assert first_week(ItemCounter()) is None


def test_items_alike_share_terms_and_are_not_the_item_itself() -> None:
    items: dict[Id, Any] = {
        itemid: shop.item(itemid, categories=categories, brand=brand)
        for itemid, categories, brand in [
            ("one", (0, 1), 1),
            ("both", (0, 1), 1),
            ("category", (0,), 2),
            ("popular", (2,), 3),
            ("other", (2,), 4),
        ]
    }
    goods = ItemTable(shop.SCHEMA, items)
    n = [{"popular": 50}.get(str(itemid), 5) for itemid in goods.itemids]
    found = alike("one", counters(n, [100] * 5), goods, 4, NO_RESTRICTION)
    assert [goods.itemids[column] for column, _ in found.entries(0)] == ["both", "category", "popular", "other"]
    scores = [score for _, score in found.entries(0)]
    assert scores == sorted(scores, reverse=True)
    conditions = Restriction((AnyOf("categories", ("toys",)),))
    among = alike("one", counters(n, [100] * 5), goods, 4, conditions)
    assert [goods.itemids[column] for column, _ in among.entries(0)] == ["popular", "other"]


def test_answers_are_in_the_terms_of_the_data_set() -> None:
    answers = SHOP.answers
    item = shop.item("i1", "Spade", (0,), 1, 2.5)
    listed = answers.listed_item(itemid="i1", score=0.5, title="Spade", **answers.listed(item))
    told = answers.item_list(item_list=[listed], run="one", degraded=[]).model_dump(by_alias=True, exclude_unset=True)
    assert told == {
        "item_list": [
            {
                **{"itemid": "i1", "score": 0.5, "title": "Spade"},
                **{"categories": ["garden"], "brand": "brand 1", "price": 2.5},
            }
        ],
        "run": "one",
        "degraded": [],
    }
