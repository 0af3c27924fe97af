"""Restrictions: which items meet them, and which restrictions a data set has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Item, Schema
from features.columns import ItemTable
from scoring.restriction import (
    NO_RESTRICTION,
    AllOf,
    AnyOf,
    AtMost,
    Between,
    Condition,
    Restriction,
    RestrictionError,
)
from tests import movielens, shop

CATEGORIES, _, PRICES = (attribute.values for attribute in shop.SCHEMA.terms)

goods = st.lists(
    st.tuples(
        st.sets(st.integers(0, 2)).map(sorted).map(tuple),
        st.integers(-1, 3),
        st.one_of(st.none(), st.sampled_from([0.0, 9.99, 10.0, 15.0, 20.0, 99.0])),
    ),
    min_size=1,
    max_size=12,
)
conditions = st.one_of(
    st.builds(AnyOf, st.just("categories"), st.lists(st.sampled_from(CATEGORIES), min_size=1).map(tuple)),
    st.builds(AllOf, st.just("categories"), st.lists(st.sampled_from(CATEGORIES), min_size=1).map(tuple)),
    st.builds(AnyOf, st.just("brand"), st.lists(st.sampled_from(shop.BRANDS[:5]), min_size=1).map(tuple)),
    st.builds(AllOf, st.just("brand"), st.lists(st.sampled_from(shop.BRANDS[:3]), min_size=1).map(tuple)),
    st.builds(AnyOf, st.just("price"), st.lists(st.sampled_from(PRICES), min_size=1).map(tuple)),
    st.builds(
        lambda bounds: Between("price", min(bounds), max(bounds)),
        st.tuples(st.sampled_from([0.0, 10.0, 15.0]), st.sampled_from([15.0, 20.0, 50.0])),
    ),
    st.sampled_from([Between("price", 15.0, None), Between("price", None, 15.0)]),
)


def names(item: Item, attribute: str) -> set[str]:
    """The values of an item in words, from its own fields alone."""
    categories, brand, price, _ = item.values
    if attribute == "categories":
        assert isinstance(categories, tuple)
        return {CATEGORIES[code] for code in categories}
    if attribute == "brand":
        assert isinstance(brand, int)
        return set() if brand < 0 else {shop.BRANDS[brand]}
    if price is None:
        return set()
    assert isinstance(price, float)
    return {PRICES[0] if price < 10 else PRICES[1] if price < 20 else PRICES[2]}


def meets(item: Item, condition: Condition) -> bool:
    if isinstance(condition, Between):
        price = item.values[2]
        if not isinstance(price, float):
            return False
        low, high = condition.low, condition.high
        return (low is None or low <= price) and (high is None or price <= high)
    wanted, has = set(condition.values), names(item, condition.attribute)
    return bool(wanted & has) if isinstance(condition, AnyOf) else wanted <= has


@given(goods, st.lists(conditions, max_size=3))
def test_a_mask_holds_the_items_that_meet_all_conditions(
    values: Sequence[tuple[tuple[int, ...], int, float | None]], wanted: list[Condition]
) -> None:
    items = {
        f"item {place:2}": shop.item(f"item {place:2}", "", categories, brand, price)
        for place, (categories, brand, price) in enumerate(values)
    }
    restriction = Restriction.of(shop.SCHEMA, wanted)
    mask = restriction.mask(ItemTable(shop.SCHEMA, items))
    assert mask.dtype == bool
    assert mask.tolist() == [all(meets(item, condition) for condition in wanted) for _, item in sorted(items.items())]


def test_films_are_chosen_by_genre_year_and_decade() -> None:
    items = {
        1: movielens.item(1, year=1994, genres=(0, 4)),
        2: movielens.item(2, year=1999, genres=(4,)),
        3: movielens.item(3, year=1989, genres=(0,)),
    }
    table = ItemTable(movielens.SCHEMA, items)

    def chosen(*wanted: Condition) -> list[object]:
        mask = Restriction.of(movielens.SCHEMA, wanted).mask(table)
        return [itemid for itemid, meets in zip(table.itemids, mask, strict=True) if meets]

    assert chosen(AnyOf("genres", ("Action", "Comedy"))) == [1, 2, 3]
    assert chosen(AllOf("genres", ("Action", "Comedy"))) == [1]
    assert chosen(Between("year", 1994, 1999)) == chosen(AnyOf("decade", ("1990s",))) == [1, 2]
    assert chosen(Between("year", None, 1998.5), AnyOf("genres", ("Comedy",))) == [1]


@pytest.mark.parametrize(
    ("schema", "wanted", "message"),
    [
        (shop.SCHEMA, AnyOf("colour", ("red",)), r"^colour is not .*; there are: categories, brand, price$"),
        (shop.SCHEMA, AnyOf("text", ("red",)), r"^text is not .*; there are: categories, brand, price$"),
        (
            shop.SCHEMA,
            AnyOf("categories", ("Toys",)),
            r"^categories has no value 'Toys'; there are: garden, kitchen, toys$",
        ),
        (
            shop.SCHEMA,
            AllOf("brand", ("brand 1", "none")),
            r"^brand has no value 'none'; there are: .*brand 19, \.\.\.$",
        ),
        (shop.SCHEMA, AnyOf("brand", ()), r"^brand needs at least one value$"),
        (shop.SCHEMA, Between("brand", 1, 2), r"^brand is not a number; give values in place of a range$"),
        (shop.SCHEMA, Between("price", None, None), r"^price needs a lower or an upper bound, which is a number$"),
        (shop.SCHEMA, Between("price", float("nan"), 1), r"^price needs a lower or an upper bound, which is a number$"),
        (shop.SCHEMA, Between("price", 2, 1), r"^price has a lower bound above the upper one$"),
        (movielens.SCHEMA, AnyOf("year", ("1994",)), r"^year is a number without buckets; give a range "),
        (shop.SCHEMA, AtMost("colour", 1), r"^colour is not an attribute"),
        (shop.SCHEMA, AtMost("brand", 0), r"^brand must allow at least 1 item of each value$"),
        (movielens.SCHEMA, AtMost("year", 1), r"^year has no values to count items by, as it is a number$"),
    ],
)
def test_a_restriction_that_the_attributes_do_not_allow_is_refused_in_one_sentence(
    schema: Schema, wanted: Condition | AtMost, message: str
) -> None:
    conditions, limits = ([], [wanted]) if isinstance(wanted, AtMost) else ([wanted], [])
    with pytest.raises(RestrictionError, match=message):
        Restriction.of(schema, conditions, limits)


def test_without_conditions_and_limits_there_is_no_restriction() -> None:
    assert not NO_RESTRICTION
    assert Restriction.of(shop.SCHEMA) == NO_RESTRICTION
    assert Restriction.of(shop.SCHEMA, [AnyOf("brand", ("brand 1",))])
    assert Restriction.of(shop.SCHEMA, at_most=[AtMost("brand", 1)])
