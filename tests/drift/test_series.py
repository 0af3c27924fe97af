"""The series of drift, as they follow from a data set."""

from __future__ import annotations

import numpy as np
import pytest

from drift import Reference, ReferenceError, Series
from drift.events import segments_of
from features import Schema
from features.dataset import parse
from tests import shop
from tests.drift.stream import reference
from tests.movielens import GENRES, SCHEMA, item

PLAIN = Schema(
    parse(
        """
name = "Clicks"
files.clicks = { path = "clicks.csv", format = "csv" }
events = [{ file = "clicks", user = "user", item = "item", time = "time", event = "click" }]
feedback.click = { positive = "always" }
items.ids = "string"
users.ids = "string"
"""
    )
)
"""Of a data set without any attributes."""

SCHEMAS = [SCHEMA, shop.SCHEMA, PLAIN]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.dataset.name)
def test_every_series_has_a_description_and_that_of_a_feature_is_the_declared_one(schema: Schema) -> None:
    series = Series(schema)
    assert series.descriptions.keys() == {*series.names, "logloss"}
    assert all(series.descriptions[column] == schema.table.description(column) for column in schema.dense_columns)
    assert all(text.endswith(".") and "\n" not in text for text in series.descriptions.values())


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.dataset.name)
def test_every_column_of_the_dense_input_is_a_series_of_every_event(schema: Schema) -> None:
    series = Series(schema)
    assert series.names[: len(schema.dense_columns)] == schema.dense_columns
    assert len({*series.names}) == len(series.names)
    assert series.names[: series.exact] == (*series.features, *series.labels)
    kinds = ["feature"] * len(series.features) + ["label"] * len(series.labels) + ["score"] * 3
    assert [series.kind(name) for name in series.names] == kinds


def test_the_labels_of_films_are_by_genre() -> None:
    series = Series(SCHEMA)
    assert series.labels == ("label", *(f"label:{genre}" for genre in GENRES))
    assert series.descriptions["label"] == "1 where an event is positive (rating with value >= 4), else 0."
    assert series.descriptions["label:Film-Noir"] == "1 where an event of the genre Film-Noir is positive, else 0."


def test_the_labels_of_a_shop_are_by_category_and_a_term_of_many_values_has_none() -> None:
    series = Series(shop.SCHEMA)
    assert series.labels == ("label", "label:garden", "label:kitchen", "label:toys")
    assert series.descriptions["label"] == "1 where an event is positive (cart or purchase), else 0."


def test_without_terms_there_is_one_label() -> None:
    series = Series(PLAIN)
    assert series.labels == ("label",)
    rows = np.zeros((2, len(series.features)))
    values, counts = series.label_values(rows, np.array([True, False]))
    assert (values.tolist(), counts.tolist()) == ([[1.0], [0.0]], [[True], [True]])


def test_labels_of_two_terms_name_their_term_as_both_may_have_the_same_value() -> None:
    description = shop.DESCRIPTION.replace('column = "brand"', 'column = "brand"\nvalues = ["garden", "b"]')
    schema = Schema(parse(description), shop.SCHEMA.learned)
    assert Series(schema).labels[1:] == (
        *("label:category:garden", "label:category:kitchen", "label:category:toys"),
        *("label:brand:garden", "label:brand:b"),
    )
    assert Series(schema).descriptions["label:brand:b"] == "1 where an event of the brand b is positive, else 0."
    both = schema.item("x", "", ((0, 2), 1, None, None))
    assert Series(schema).labels_of(both) == ["label", "label:category:garden", "label:category:toys", "label:brand:b"]


def test_an_event_counts_in_the_labels_of_its_items_values() -> None:
    series = Series(SCHEMA)
    rows = np.zeros((2, len(series.features)), dtype=np.float32)
    rows[0, series.features.index("genre:Drama")] = 1.0
    rows[0, series.features.index("genre:War")] = 1.0
    values, counts = series.label_values(rows, np.array([True, False]))
    counted = [[name for name, counts_in in zip(series.labels, row, strict=True) if counts_in] for row in counts]
    assert counted == [["label", "label:Drama", "label:War"], ["label"]]
    assert (values == [[1.0], [0.0]]).all()
    film = item(1, genres=(GENRES.index("Drama"), GENRES.index("War")))
    assert [series.labels_of(film), series.labels_of(item(2))] == counted


def test_users_are_parted_by_attributes_of_few_values_and_by_their_history() -> None:
    assert segments_of(SCHEMA, (0, 2, 14), 25) == ("gender:F", "age:25", "history:20-99")
    assert segments_of(SCHEMA, (-1, -1, -1), 300) == ("history:300 and more",)
    assert segments_of(shop.SCHEMA, (1,), 0) == ("segment:regular", "history:under 20")
    assert segments_of(PLAIN, (), 100) == ("history:100-299",)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.dataset.name)
def test_a_reference_comes_back_as_it_was_stored(schema: Schema) -> None:
    made = reference(schema)
    assert tuple(made.series) == Series(schema).names
    assert Reference.from_json(Series(schema), made.as_json()) == made


def test_a_reference_of_another_data_set_is_refused() -> None:
    with pytest.raises(ReferenceError, match=r"other features than this release declares .*train and publish again"):
        Reference.from_json(Series(shop.SCHEMA), reference().as_json())
    stored = reference(shop.SCHEMA).as_json()
    labels = stored["labels"]
    assert isinstance(labels, dict)
    del labels["label:toys"]
    with pytest.raises(ReferenceError, match=r"\(it lacks label:toys\)"):
        Reference.from_json(Series(shop.SCHEMA), stored)
