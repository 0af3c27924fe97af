"""The generated shop."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import datasets
from offline.data import generate_shop
from offline.data.generate_shop import BEGIN
from offline.data.shop_catalogue import BRANDS, CATEGORIES, DAYS, DEPARTMENTS
from offline.data.tables import Categorical, MultiCategorical, Numeric, Tables, Texts, read
from offline.data.tables.values import MICROSECONDS
from offline.errors import DataError

USERS, ITEMS, EVENTS = 300, 160, 12_000
VIEW, CART, PURCHASE = 0, 1, 2
DAY = 86_400 * MICROSECONDS


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """A shop that is large enough for its structure to show."""
    folder = tmp_path_factory.mktemp("shop")
    generate_shop.make(folder, USERS, ITEMS, EVENTS, 3)
    return read(datasets.read("shop"), folder)


def test_a_generated_shop_is_the_same_for_a_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        generate_shop.make(tmp_path / name, 40, 70, 600, seed)
    for name in generate_shop.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert (tmp_path / "one" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_its_files_are_those_of_the_description(tmp_path: Path) -> None:
    generate_shop.make(tmp_path, 40, 70, 600, 1)
    assert datasets.read("shop").paths == generate_shop.FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(generate_shop.FILES)


def test_it_has_as_many_users_items_and_events_as_wanted(shop: Tables) -> None:
    assert (len(shop.events), len(shop.items), len(shop.users)) == (EVENTS, ITEMS, USERS)
    assert shop.types == ("view", "cart", "purchase")
    shares = np.bincount(shop.events.type) / EVENTS
    assert shares[VIEW] > shares[CART] > shares[PURCHASE] > 0.05


def test_a_cart_comes_after_its_view_and_a_purchase_after_its_cart(shop: Tables) -> None:
    events, n = shop.events, defaultdict[tuple[int, int], Counter[int]](Counter)
    assert (np.diff(events.time) >= 0).all()
    for user, item, kind in zip(events.user.tolist(), events.item.tolist(), events.type.tolist(), strict=True):
        so_far = n[user, item]
        so_far[kind] += 1
        assert so_far[PURCHASE] <= so_far[CART] <= so_far[VIEW]
        # What was bought is not looked at again.
        assert kind != VIEW or not so_far[PURCHASE]


def test_shoppers_come_in_sessions(shop: Tables) -> None:
    order = np.lexsort((shop.events.time, shop.events.user))
    same = np.diff(shop.events.user[order]) == 0
    gaps = np.diff(shop.events.time[order])[same] / MICROSECONDS
    assert 0.75 < (gaps < 900).mean() < 0.97
    assert (gaps > 86_400).mean() > 0.02
    assert ((gaps >= 900) & (gaps < 1800)).mean() < 0.01


def test_products_have_categories_brands_prices_and_titles_and_some_lack_one(shop: Tables) -> None:
    categories, brand = shop.items.attributes["categories"], shop.items.attributes["brand"]
    price, title = shop.items.attributes["price"], shop.items.attributes["title"]
    assert isinstance(categories, MultiCategorical) and isinstance(brand, Categorical)
    assert isinstance(price, Numeric) and isinstance(title, Texts)
    kinds = [[value for value in values if value in CATEGORIES] for values in categories.values()]
    departments = [[value for value in values if value in DEPARTMENTS] for values in categories.values()]
    assert all(len(kind) == 1 for kind in kinds) and all(len(department) == 1 for department in departments)
    assert any(len(values) > 2 for values in categories.values())
    assert set(brand.names) <= {*BRANDS}
    assert 0.01 < (brand.codes < 0).mean() < 0.2
    assert 0.01 < np.isnan(price.numbers).mean() < 0.2
    assert (price.numbers[~np.isnan(price.numbers)] > 0).all()
    assert len({*title.texts}) == ITEMS


def test_some_users_have_no_segment_and_guests_no_account(shop: Tables) -> None:
    segment = shop.users.attributes["segment"]
    assert isinstance(segment, Categorical)
    ids = shop.users.ids.to_pylist()
    guest = np.array([userid.startswith("guest-") for userid in ids])
    assert guest.any() and (segment.codes[guest] < 0).all()
    assert 0.02 < (segment.codes[~guest] < 0).mean() < 0.2


def test_items_appear_and_disappear(shop: Tables) -> None:
    first, last = np.full(ITEMS, np.inf), np.full(ITEMS, -np.inf)
    np.minimum.at(first, shop.events.item, shop.events.time)
    np.maximum.at(last, shop.events.item, shop.events.time)
    day = (np.stack([first, last]) / MICROSECONDS - BEGIN) / 86_400
    assert (day[0] > 60).mean() > 0.15
    assert (day[1] < DAYS - 100).mean() > 0.05


def test_the_season_shows_in_what_is_looked_at(shop: Tables) -> None:
    categories = shop.items.attributes["categories"]
    assert isinstance(categories, MultiCategorical)
    garden = np.array(["garden" in values for values in categories.values()])
    winter = np.array(["winter" in values for values in categories.values()])
    day = (shop.events.time / MICROSECONDS - BEGIN) / 86_400
    spring, december = (day > 60) & (day < 150), day > 320
    share = {
        season: [kind[shop.events.item[when]].mean() for kind in (garden, winter)]
        for season, when in (("spring", spring), ("december", december))
    }
    assert share["spring"][0] > 1.5 * share["december"][0]
    assert share["december"][1] > 1.5 * share["spring"][1]


def carts(shop: Tables) -> list[list[int]]:
    """The items that each user put into the cart, in the order of time."""
    order = np.lexsort((shop.events.time, shop.events.user))
    order = order[shop.events.type[order] == CART]
    return [
        items.tolist()
        for items in np.split(shop.events.item[order], np.flatnonzero(np.diff(shop.events.user[order])) + 1)
    ]


def test_users_turn_to_the_complement_of_what_they_took(shop: Tables) -> None:
    categories = shop.items.attributes["categories"]
    assert isinstance(categories, MultiCategorical)
    kind = [next(value for value in values if value in CATEGORIES) for values in categories.values()]
    complement = {row[0]: row[4] for rows in DEPARTMENTS.values() for row in rows}
    after = Counter[str]()
    for items in carts(shop):
        for one, other in pairwise(items):
            if kind[one] != kind[other]:
                after["complement"] += kind[other] == complement[kind[one]]
                after["reverse"] += kind[one] == complement[kind[other]]
                after["any"] += 1
    assert after["complement"] > 0.15 * after["any"]
    assert after["complement"] > 2 * after["reverse"]


def test_users_return_to_the_brands_that_they_bought(shop: Tables) -> None:
    brand = shop.items.attributes["brand"]
    assert isinstance(brand, Categorical)
    of_users = [[brand.codes[item] for item in items if brand.codes[item] >= 0] for items in carts(shop)]
    pairs = [(one, other) for brands in of_users for place, one in enumerate(brands) for other in brands[:place]]
    shuffled = np.random.default_rng(1).permutation([other for _, other in pairs])
    repeated = np.mean([one == other for one, other in pairs])
    by_chance = np.mean([one == other for (one, _), other in zip(pairs, shuffled, strict=True)])
    assert repeated > 1.5 * by_chance


@pytest.mark.parametrize(
    ("users", "items", "events", "message"),
    [
        (0, 100, 100, "needs at least 1 user"),
        (40, 20, 600, "needs at least 1 user and 64 items"),
        (40, 70, 100, "40 users and 70 items need 465 to 1400 events"),
        (40, 70, 1500, "need 465 to 1400 events; change --events"),
    ],
)
def test_a_shop_needs_numbers_that_fit_and_nothing_is_written_otherwise(
    tmp_path: Path, users: int, items: int, events: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        generate_shop.make(tmp_path / "shop", users, items, events, 1)
    assert not (tmp_path / "shop").exists()
