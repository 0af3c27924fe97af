"""The pages speak of events in the words of the data set."""

from __future__ import annotations

import pytest

from api.pages.words import Words, described
from features import Schema
from features.dataset import Condition, Feedback
from features.dataset.feedback import ValueRange
from tests import movielens, shop


def with_feedback(**feedback: Feedback) -> Schema:
    return Schema(movielens.SCHEMA.dataset.model_copy(update={"feedback": feedback}))


LIKED = Condition("always")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, ("event", "events", "an event")),
        (movielens.SCHEMA, ("rating", "ratings", "a rating")),
        (shop.SCHEMA, ("event", "events", "an event")),
        (with_feedback(order=Feedback(positive=LIKED)), ("order", "orders", "an order")),
        (with_feedback(page_view=Feedback(positive=LIKED)), ("page view", "page views", "a page view")),
    ],
)
def test_events_of_one_type_are_called_by_it(schema: Schema | None, words: tuple[str, str, str]) -> None:
    found = Words.of(schema)
    assert (found.one, found.many, found.a) == words


def test_scripts_know_the_types_the_ids_and_the_attributes() -> None:
    films = described(movielens.SCHEMA)
    assert films["types"] == [
        {"name": "rating", "valued": True, "stars": 5, "minimum": 1.0, "maximum": 5.0, "whole": True}
    ]
    assert [each["name"] for each in films["attributes"]] == ["year", "genres"]
    assert [each["name"] for each in films["terms"]] == ["genres", "decade"]
    assert films["ids"] == "integer"
    assert [each["name"] for each in films["segments"]] == ["gender", "age", "occupation"]
    assert films["segments"][0]["values"] == ["F", "M"]
    products = described(shop.SCHEMA)
    assert products["types"] == [{"name": name, "valued": False} for name in ("view", "cart", "purchase")]
    assert [each["name"] for each in products["attributes"]] == ["categories", "brand", "price"]
    assert (products["name"], products["ids"]) == ("Small shop", "string")


@pytest.mark.parametrize(
    ("value", "stars"),
    [
        (ValueRange(minimum=1, maximum=3, whole=True), 3),
        (ValueRange(minimum=0, maximum=3, whole=True), None),
        (ValueRange(minimum=1, maximum=11, whole=True), None),
        (ValueRange(minimum=1, maximum=5), None),
        (ValueRange(minimum=1, whole=True), None),
    ],
)
def test_only_values_from_one_to_a_few_are_stars(value: ValueRange, stars: int | None) -> None:
    (kind,) = described(with_feedback(score=Feedback(value=value, positive=Condition("value >= 3"))))["types"]
    assert kind["stars"] == stars
