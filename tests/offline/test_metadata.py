from __future__ import annotations

import numpy as np
import pytest

from features import Catalogue, Schema
from features.dataset import parse
from features.stored import VersionError
from offline.models import metadata
from scoring.metadata import Regression
from tests import movielens
from tests import shop as goods

GENRES = {"Drama": 1945, "Comedy": 1995}
"""Odd items are dramas of the 1940s, even ones comedies of the 1990s."""


def films() -> Catalogue:
    """Each third is a "Return"."""
    items = []
    for itemid in range(1, 61):
        genre, year = list(GENRES.items())[itemid % 2 == 0]
        title = "The Return" if itemid % 3 == 0 else f"Film {itemid}"
        items.append(movielens.item(itemid, title, year, (movielens.GENRES.index(genre),)))
    return movielens.catalogue(items, [])


def products() -> Catalogue:
    """The same of goods: the brand says what the genre does, and the text has the word."""
    items = []
    for number in range(1, 61):
        text = "It does return" if number % 3 == 0 else None
        price = None if number % 5 == 0 else 8.0 if number % 2 else 25.0
        items.append(goods.item(f"p{number:02}", f"Product {number}", (number % 2,), number % 2, price, text))
    return goods.catalogue(items, [])


def vectors() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """One component says the genre, one the word of the title, one nothing."""
    itemid = np.arange(1, 61)
    noise = np.random.default_rng(0).normal(size=60)
    return np.column_stack([np.where(itemid % 2, 1.0, -1.0), itemid % 3 == 0, noise]).astype(np.float32)


@pytest.mark.parametrize(
    ("schema", "catalogue"), [(movielens.SCHEMA, films()), (goods.SCHEMA, products())], ids=["films", "shop"]
)
def test_a_new_item_gets_the_vector_of_its_kind(schema: Schema, catalogue: Catalogue) -> None:
    table, n = metadata.describe(schema, catalogue), np.full(60, 20)
    own = vectors()
    own[[4, 5]], n[[4, 5]] = 99.0, 0
    made = metadata.settled(table, own, n)
    np.testing.assert_allclose(made[4, :2], [1.0, 0.0], atol=0.15)
    np.testing.assert_allclose(made[5, :2], [-1.0, 1.0], atol=0.15)


def test_a_new_item_stands_where_the_items_stand_that_people_come_to() -> None:
    table, n = metadata.describe(movielens.SCHEMA, films()), np.full(60, 1)
    own = np.full((60, 1), -1.0, dtype=np.float32)
    n[:6], own[:6] = 300, 1.0
    n[30] = 0
    new, usual = metadata.new_vectors(table, own, n), metadata.usual_vectors(table, own, n)
    assert new.mean() > 0.8
    assert usual.mean() < -0.5
    settled = metadata.settled(table, own, n)
    assert settled[30] == new[30]
    # One with an event is not new, though nearly so.
    assert settled[31] < -0.5


def test_the_mean_of_new_items_is_not_drawn_towards_0() -> None:
    table, own = metadata.describe(movielens.SCHEMA, films()), np.full((60, 2), 9.0, dtype=np.float32)
    np.testing.assert_allclose(metadata.new_vectors(table, own, np.full(60, 1)), own, atol=1e-4)


def test_an_item_with_many_events_keeps_its_own_vector() -> None:
    table, own = metadata.describe(movielens.SCHEMA, films()), vectors()
    np.testing.assert_allclose(metadata.settled(table, own, np.full(60, 10_000)), own, atol=1e-3)


def test_a_word_of_few_titles_says_nothing() -> None:
    table = metadata.describe(movielens.SCHEMA, films())
    # A constant, the year, 18 genres and 10 decades come before.
    words = table[:, 30:]
    # "film", "return" and "the"; the numbers of the films occur once each.
    assert words.shape[1] == 3
    assert words.sum(axis=0).tolist() == [40.0, 20.0, 20.0]


def test_of_many_words_the_most_frequent_have_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MOST_WORDS", 2)
    table = metadata.describe(movielens.SCHEMA, films())
    # Of "return" and "the", which are as frequent, the first.
    assert table[:, 30:].sum(axis=0).tolist() == [40.0, 20.0]


def test_a_number_without_buckets_is_standardised_and_a_missing_one_says_so() -> None:
    text = goods.DESCRIPTION.replace("quantiles = 3\nterm = true", "center = 15\nscale = 10")
    schema = Schema(parse(text))
    items = [schema.item(str(place), "", ((), -1, price, None)) for place, price in enumerate((25.0, None, 1e9))]
    table = metadata.describe(schema, Catalogue.of(items, [], 1))
    assert table.tolist() == [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, metadata.LARGEST, 0.0]]


def test_items_without_attributes_have_a_constant_alone() -> None:
    text = goods.DESCRIPTION[: goods.DESCRIPTION.index("[items]")]
    schema = Schema(parse(f'{text}[items]\nids = "string"\n[users]\nids = "string"\n'))
    items = [schema.item(f"{number:03}", "", ()) for number in range(200)]
    table = metadata.describe(schema, Catalogue.of(items, [], 0))
    assert table.tolist() == [[1.0]] * 200
    own, n = np.full((200, 1), 2.0, dtype=np.float32), np.full(200, 1000)
    own[7], n[7] = 8.0, 0
    np.testing.assert_allclose(metadata.settled(table, own, n), np.full((200, 1), 2.0), atol=0.02)


@pytest.mark.parametrize(
    ("schema", "catalogue"), [(movielens.SCHEMA, films()), (goods.SCHEMA, products())], ids=["films", "shop"]
)
def test_the_regression_of_a_run_says_what_training_says_of_each_item(schema: Schema, catalogue: Catalogue) -> None:
    n = np.full(60, 20)
    table = metadata.describe(schema, catalogue)
    regression = metadata.regression(schema, catalogue, vectors(), n)
    items = [catalogue.items[itemid] for itemid in sorted(catalogue.items)]
    new = metadata.new_vectors(table, vectors(), n)
    np.testing.assert_allclose(regression.vectors(schema, items), new, atol=1e-5)


def test_a_vector_has_the_same_bits_alone_and_among_others_and_after_it_was_stored() -> None:
    catalogue = products()
    made = metadata.regression(goods.SCHEMA, catalogue, vectors(), np.full(60, 20))
    items = list(catalogue.items.values())
    together = made.vectors(goods.SCHEMA, items)
    stored = Regression.unpack(made.pack())
    for item, vector in zip(items, together, strict=True):
        assert stored.vectors(goods.SCHEMA, [item])[0].tobytes() == vector.tobytes()


def test_values_and_words_that_training_did_not_see_say_nothing() -> None:
    made = metadata.regression(goods.SCHEMA, products(), vectors(), np.full(60, 20))
    known = goods.item("new", "Product", (1,), 1, 8.0)
    odd = goods.item("new", "Product unheard of", (1,), 1, 8.0, "A text with other words alone")
    rare_brand = goods.item("new", "Product", (1,), 70, 8.0)
    of_known, of_odd, of_rare = made.vectors(goods.SCHEMA, [known, odd, rare_brand])
    np.testing.assert_array_equal(of_odd, of_known)
    # A brand that the schema has, and no item had: its weight is that of no evidence, 0.
    bare = made.vectors(goods.SCHEMA, [goods.item("new", "Product", (1,), -1, 8.0)])[0]
    np.testing.assert_allclose(of_rare, bare, atol=1e-6)


def test_a_run_without_a_regression_gives_every_new_item_the_mean_of_its_vectors() -> None:
    made = Regression.of_mean(vectors())
    items = [goods.item("a", "A", (0,), 1, 3.0), goods.item("b")]
    expected = vectors().mean(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(made.vectors(goods.SCHEMA, items), [expected, expected])


def test_a_regression_of_a_later_release_and_one_that_is_none_are_refused() -> None:
    made = metadata.regression(goods.SCHEMA, products(), vectors(), np.full(60, 20))
    later = Regression(made.columns.model_copy(update={"schema_version": 99}), made.weights)
    with pytest.raises(VersionError, match="version 99"):
        Regression.unpack(later.pack())
    for packed in (b"", b"junk", made.pack()[:-200]):
        with pytest.raises(ValueError, match="no regression"):
            Regression.unpack(packed)
