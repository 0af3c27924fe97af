"""Term preferences, and how well items match them."""

from __future__ import annotations

import numpy as np

from features import GENRES, Item
from features.columns import ItemTable
from scoring import preferences
from scoring.terms import term_scores, term_weights

ITEMS = {1: Item(1, "a", 1985, (0, 4)), 2: Item(2, "b", 1995, (4,))}


def test_recent_likes_weigh_more_than_old_ones() -> None:
    old_then_new = [(1, 2, 5)] * 30 + [(2, 1, 5)] * 30
    genres = preferences(old_then_new, ITEMS.get)["genres"]
    assert genres[4] == 1.0
    assert 0 < genres[0] < 1.0


def test_what_is_disliked_is_no_preference() -> None:
    assert preferences([(1, 1, 1)], ITEMS.get) == {"genres": {}, "decades": {}}


def test_an_items_term_score_is_the_sum_of_the_weights_of_its_terms_times_its_prior() -> None:
    wanted = {"genres": {0: 0.5, 4: 1.0}, "decades": {8: 0.25}}
    nothing: dict[str, dict[int, float]] = {"genres": {}, "decades": {}}
    prior = np.array([2.0, 3.0], dtype=np.float32)
    scores = term_scores(term_weights([wanted, nothing]), ItemTable(ITEMS).terms, prior)
    assert scores.dtype == np.float32
    assert scores.tolist() == [[2 * 1.5, 3 * 1.25], [0.0, 0.0]]


def test_each_item_has_its_genres_and_one_decade() -> None:
    terms = ItemTable(ITEMS).terms
    assert terms[:, 0].nonzero()[0].tolist() == [0, 4, len(GENRES) + 7]
    assert terms[:, 1].nonzero()[0].tolist() == [4, len(GENRES) + 8]
