"""The models' input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from features import Schema, dense, fold, user_row
from features.columns import ItemTable
from features.declarations import SHRINK
from tests import shop
from tests.movielens import GENRES, SCHEMA, item, rated, user

PRIOR = 0.575
ITEMS = {1: item(1, "a", 1985, (0, 4)), 2: item(2, "b", 1995, (4,))}


def rows() -> tuple[dict, dict]:
    profile = SCHEMA.profile(1)
    fold(SCHEMA.codes, profile, None, rated(1, 1, 5, 86400), ITEMS)
    fold(SCHEMA.codes, profile, None, rated(1, 2, 2, 4 * 86400), ITEMS)
    row = user_row(SCHEMA, profile, user(1, 0, 0, 0), ITEMS)
    table = ItemTable(SCHEMA, ITEMS)
    of_item = table.at(table.column([1]), np.array([3]), np.array([2]))
    return {name: np.array([value]) for name, value in row.items()}, dict(of_item)


def rate(likes: int, n: int) -> float:
    return (likes + SHRINK * PRIOR) / (n + SHRINK)


def test_dense_features_are_what_their_names_say() -> None:
    named = dict(zip(SCHEMA.dense_columns, dense(SCHEMA, *rows())[0].tolist(), strict=True))
    expected = {
        "user_log_n": np.log(3),
        "user_like_rate": rate(1, 2),
        "user_like_rate10": rate(1, 2),
        "user_like_rate30": rate(1, 2),
        "genre_affinity": (rate(1, 1) + rate(1, 2)) / 2,
        "genre_exposure": (1 / 2 + 2 / 2) / 2,
        "genre_affinity30": (rate(1, 1) + rate(1, 2)) / 2,
        "genre_exposure30": (1 / 2 + 2 / 2) / 2,
        "item_like_rate": rate(2, 3),
        "item_log_n": np.log(4),
        "item_year": 0.25,
        "decade_affinity": rate(1, 1),
        "decade_exposure": 1 / 2,
        "user_log_days": np.log(4),
    }
    assert set(expected) <= set(SCHEMA.dense_names)
    for name, value in expected.items():
        assert named[name] == pytest.approx(value, rel=1e-6), name
    assert [named[f"genre:{name}"] for name in GENRES] == [1.0 if place in (0, 4) else 0.0 for place in range(18)]


def test_one_user_row_serves_many_items() -> None:
    of_user, of_item = rows()
    many = {name: np.repeat(column, 3, axis=0) for name, column in of_item.items()}
    assert (dense(SCHEMA, of_user, many) == np.repeat(dense(SCHEMA, of_user, of_item), 3, axis=0)).all()


def test_a_shop_has_features_of_its_own_attributes() -> None:
    items = {"a": shop.item("a", "Rake", (0,), 1, 12.5), "b": shop.item("b", "Pan", (1, 2), 79, None)}
    profile = shop.SCHEMA.profile("u")
    fold(shop.SCHEMA.codes, profile, None, shop.event("u", "a", shop.PURCHASE, 0), items)
    fold(shop.SCHEMA.codes, profile, None, shop.event("u", "b", shop.VIEW, 10), items)
    row = user_row(shop.SCHEMA, profile, shop.user("u", 1), items)
    assert row["segment"] == 1
    assert (row["category_n"], row["category_likes"]) == ([1, 1, 1], [1, 0, 0])
    assert row["price_n"] == [0, 1, 0], "nothing is counted for a missing price"
    table = ItemTable(shop.SCHEMA, items)
    of_user = {name: np.array([value]) for name, value in row.items()}
    rows_ = dense(shop.SCHEMA, of_user, table.at(table.column(["a", "b"]), np.array([1, 1]), np.array([1, 0])))
    named = [dict(zip(shop.SCHEMA.dense_columns, values, strict=True)) for values in rows_.tolist()]
    assert named[0]["item_price"] == pytest.approx((12.5 - 15) / 10)
    assert named[1]["item_price"] == 0.0, "a missing price is that of the usual item"
    assert named[0]["brand_exposure"] == 0.5
    assert named[0]["user_like_rate"] == pytest.approx((1 + SHRINK * 0.25) / (2 + SHRINK))
    assert [named[1][f"category:{name}"] for name in ("garden", "kitchen", "toys")] == [0.0, 1.0, 1.0]


def test_a_data_set_without_attributes_has_features() -> None:
    plain = shop.SCHEMA.dataset.model_copy(
        update={
            "items": shop.SCHEMA.dataset.items.model_copy(update={"attributes": {}}),
            "users": shop.SCHEMA.dataset.users.model_copy(update={"attributes": {}}),
        }
    )
    schema = Schema(plain)
    assert schema.ids == ("userid", "itemid")
    assert schema.dense_columns[:2] == ("user_log_n", "user_like_rate")
    assert len(schema.dense_columns) == 7
    assert ItemTable(schema, {"a": schema.item("a", "", ())}).terms.shape == (0, 1)


@pytest.mark.parametrize("schema", [SCHEMA, shop.SCHEMA])
def test_a_stored_schema_is_read_as_it_was(schema: Schema) -> None:
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert again.to_json() == schema.to_json()
    assert pickle.loads(pickle.dumps(schema)) == schema
