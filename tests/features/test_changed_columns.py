"""Columns that are made from those before are the ones that would be made from the whole catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Id, Item, Schema
from features.changed_columns import ChangedTable
from features.columns import ItemTable
from tests import movielens, shop

PRODUCTS = st.dictionaries(
    st.sampled_from([f"i{number}" for number in range(12)]),
    st.tuples(
        st.sets(st.integers(0, 2), max_size=3).map(lambda codes: tuple(sorted(codes))),
        st.integers(-1, 5),
        st.none() | st.floats(0, 50),
    ),
    min_size=1,
)
FILMS = st.dictionaries(
    st.integers(1, 12),
    st.tuples(
        st.sets(st.integers(0, 4), max_size=3).map(lambda codes: tuple(sorted(codes))),
        st.integers(1920, 2009),
        st.none(),
    ),
    min_size=1,
)


def product(itemid: Any, values: Any) -> Item:
    categories, brand, price = values
    return shop.item(itemid, categories=categories, brand=brand, price=price)


def film(itemid: Any, values: Any) -> Item:
    genres, year, _ = values
    return movielens.item(itemid, year=year, genres=genres)


def ask_all(schema: Schema, table: ItemTable) -> dict[str, Any]:
    """All that columns can be asked for."""
    attributes = schema.item_attributes
    return {
        **{f"attribute {name}": values for name, values in table.attributes.items()},
        **{f"codes {each.name}": table.codes(each.name) for each in attributes if each.values},
        **{f"numbers {each.name}": table.numbers(each.name) for each in attributes if each.kind == "number"},
        **{f"kinds {each.name}": values_of(table, each.name) for each in attributes if each.values},
        "terms": table.terms,
    }


def values_of(table: ItemTable, name: str) -> Any:
    """The values of each item, as the numbers of kinds are any."""
    kinds, values = table.kinds(name)
    return np.array([str(values[kind]) for kind in kinds], dtype=object)


@pytest.mark.parametrize("asked", [True, False])
@given(before=PRODUCTS, now=PRODUCTS, without=st.sets(st.sampled_from([f"i{number}" for number in range(12)])))
def test_columns_of_a_changed_shop_are_those_of_a_new_one(
    asked: bool, before: dict[Id, Any], now: dict[Id, Any], without: set[Id]
) -> None:
    require_equal(shop.SCHEMA, product, asked, before, now, without)


@given(before=FILMS, now=FILMS, without=st.sets(st.integers(1, 12)))
def test_columns_of_changed_films_are_those_of_new_ones(
    before: dict[Id, Any], now: dict[Id, Any], without: set[Id]
) -> None:
    require_equal(movielens.SCHEMA, film, True, before, now, without)


def require_equal(
    schema: Schema, make: Any, asked: bool, before: dict[Id, Any], now: dict[Id, Any], without: set[Id]
) -> None:
    former = ItemTable(schema, {itemid: make(itemid, values) for itemid, values in before.items()})
    if asked:
        ask_all(schema, former)
    items = {itemid: make(itemid, values) for itemid, values in now.items()}
    changed = {itemid for itemid in before.keys() | now.keys() if before.get(itemid) != now.get(itemid)} | without
    table = ChangedTable(former, items, changed, without)
    expected = ItemTable(schema, {itemid: item for itemid, item in items.items() if itemid not in without})
    assert table.itemids == expected.itemids
    assert table.find(list(before))[0].tolist() == expected.find(list(before))[0].tolist()
    assert table.find(list(before))[1].tolist() == expected.find(list(before))[1].tolist()
    for (name, values), wanted in zip(ask_all(schema, table).items(), ask_all(schema, expected).values(), strict=True):
        assert values.dtype == wanted.dtype, name
        np.testing.assert_array_equal(values, wanted, err_msg=name)


def test_an_array_is_carried_over_with_the_values_of_the_items_that_came() -> None:
    items: dict[Id, Item] = {itemid: shop.item(itemid) for itemid in ("b", "d", "f")}
    now = {**items, "a": shop.item("a"), "e": shop.item("e")}
    table = ChangedTable(ItemTable(shop.SCHEMA, items), now, {"a", "d", "e"}, {"d"})
    assert (table.itemids, table.added) == (("a", "b", "e", "f"), ("a", "e"))
    assert table.carry(np.array([10, 20, 30]), np.array([1, 2])).tolist() == [1, 10, 2, 30]


def test_where_items_keep_their_columns_the_ids_are_not_made_again() -> None:
    items: dict[Id, Item] = {itemid: shop.item(itemid) for itemid in ("b", "d")}
    former = ItemTable(shop.SCHEMA, items)
    table = ChangedTable(former, {**items, "d": shop.item("d", brand=3)}, {"d"}, set())
    assert table.itemids is former.itemids
    assert table.codes("brand").tolist() == [-1, 3]
