"""Term preferences, and how well items match them."""

from __future__ import annotations

import numpy as np
import pytest

from features import Id, Item, fold
from features.columns import ItemTable
from scoring import Preferences, preferences
from scoring.terms import LEAST_SHARE, MOST_PREFERRED, term_scores, term_weights
from tests import shop
from tests.movielens import DECADES, GENRES, SCHEMA, item

ITEMS = {1: item(1, "a", 1985, (0, 4)), 2: item(2, "b", 1995, (4,))}
MUG, BALL = shop.item("mug", "Mug", (0, 1), brand=70, price=15.0), shop.item("ball", "Ball", (2,))
GOODS: dict[Id, Item] = {"mug": MUG, "ball": BALL}


def test_preferences_are_shares_of_the_largest_weight_of_each_attribute() -> None:
    weights = [{0: 3 << 900, 4: 4 << 900, 7: 0}, {8: 5}]
    assert preferences(SCHEMA, weights) == {"genres": {0: 0.75, 4: 1.0}, "decade": {8: 1.0}}


def test_what_is_disliked_is_no_preference() -> None:
    assert preferences(SCHEMA, [{4: -7, 0: 2}, {8: -1}]) == {"genres": {0: 1.0}, "decade": {}}


def test_of_many_values_the_greatest_are_preferred_and_of_the_same_weight_those_of_the_lowest_codes() -> None:
    brands = dict.fromkeys(range(79, 9, -1), 5) | {2: 4, 1: 6, 3: 1}
    wanted = preferences(shop.SCHEMA, [{}, brands, {}])["brand"]
    assert list(wanted) == [1, *range(10, 10 + MOST_PREFERRED - 1)]
    assert wanted[1] == 1.0 and {*list(wanted.values())[1:]} == {5 / 6}


def test_a_value_that_is_too_old_to_make_a_difference_is_no_preference() -> None:
    """Recall in Elasticsearch and in memory add scores in FP32, in which its score would be 0 or none."""
    least = round(1 / LEAST_SHARE)
    assert preferences(SCHEMA, [{0: least, 4: 1}, {}])["genres"] == {0: 1.0, 4: LEAST_SHARE}
    assert preferences(SCHEMA, [{0: least + 1, 4: 1}, {}])["genres"] == {0: 1.0}
    assert preferences(SCHEMA, [{0: 1 << 50_000, 4: 1, 5: -1}, {}])["genres"] == {0: 1.0}


def test_of_a_user_of_whom_nothing_is_known_there_are_no_preferences() -> None:
    assert preferences(SCHEMA, ()) == preferences(SCHEMA, [{}, {}]) == {"genres": {}, "decade": {}}


def wanted_after(*codes: int) -> Preferences:
    """The preferences after a purchase of the mug and events of the ball."""
    profile = shop.SCHEMA.profile("u")
    events = [shop.event("u", "mug", shop.PURCHASE, 9), *(shop.event("u", "ball", code, 9) for code in codes)]
    for event in events:
        fold(shop.SCHEMA.codes, profile, None, event, GOODS)
    return preferences(shop.SCHEMA, profile.weights)


def test_preferences_are_by_the_terms_of_the_data_set_whatever_the_type_of_event() -> None:
    assert wanted_after() == {"categories": {0: 1.0, 1: 1.0}, "brand": {70: 1.0}, "price": {1: 1.0}}


def test_an_event_weighs_as_much_as_its_type_and_a_mere_exposure_little() -> None:
    # The mug's two categories share its weight, and the ball has one.
    assert wanted_after(shop.VIEW)["categories"][2] == pytest.approx(0.2, rel=0.01)
    assert wanted_after(shop.CART)["categories"][2] == 1.0
    assert wanted_after(shop.PURCHASE)["categories"] == {0: 0.5, 1: 0.5, 2: 1.0}


def test_an_items_term_score_is_the_sum_of_the_weights_of_its_terms_times_its_prior() -> None:
    wanted: Preferences = {"genres": {0: 0.5, 4: 1.0}, "decade": {8: 0.25}}
    nothing: Preferences = {"genres": {}, "decade": {}}
    prior = np.array([2.0, 3.0], dtype=np.float32)
    scores = term_scores(term_weights(SCHEMA, [wanted, nothing]), ItemTable(SCHEMA, ITEMS).terms, prior)
    assert scores.dtype == np.float32
    assert scores.tolist() == [[2 * 1.5, 3 * 1.25], [0.0, 0.0]]


def test_each_item_has_its_genres_and_one_decade() -> None:
    terms = ItemTable(SCHEMA, ITEMS).terms
    assert terms.shape == (len(GENRES) + len(DECADES), 2)
    assert terms[:, 0].nonzero()[0].tolist() == [0, 4, len(GENRES) + 7]
    assert terms[:, 1].nonzero()[0].tolist() == [4, len(GENRES) + 8]


def test_the_terms_of_a_shop_match_its_items_and_a_missing_value_matches_none() -> None:
    table = ItemTable(shop.SCHEMA, GOODS)
    assert table.itemids == ("ball", "mug")
    scores = term_scores(term_weights(shop.SCHEMA, [wanted_after()]), table.terms, np.ones(2))
    assert scores.tolist() == [[0.0, 4.0]]
