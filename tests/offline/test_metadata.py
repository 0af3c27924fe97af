from __future__ import annotations

import numpy as np

from features import Catalogue, Item
from offline.models import metadata


def catalogue() -> Catalogue:
    """Odd items are dramas of the 1940s, even ones comedies of the 1990s; each third is a "Return"."""
    items = []
    for itemid in range(1, 61):
        year, genre = ((1945, 7), (1995, 4))[itemid % 2 == 0]
        items.append(Item(itemid, "The Return" if itemid % 3 == 0 else f"Film {itemid}", year, (genre,)))
    return Catalogue.of(items, [])


def vectors() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """One component says the genre, one the word of the title, one nothing."""
    itemid = np.arange(1, 61)
    noise = np.random.default_rng(0).normal(size=60)
    return np.column_stack([np.where(itemid % 2, 1.0, -1.0), itemid % 3 == 0, noise]).astype(np.float32)


def test_a_new_item_gets_the_vector_of_its_kind() -> None:
    table, n = metadata.describe(catalogue()), np.full(60, 20)
    own = vectors()
    own[[4, 5]], n[[4, 5]] = 99.0, 0
    made = metadata.settled(table, own, n)
    np.testing.assert_allclose(made[4, :2], [1.0, 0.0], atol=0.15)
    np.testing.assert_allclose(made[5, :2], [-1.0, 1.0], atol=0.15)


def test_an_item_with_many_events_keeps_its_own_vector() -> None:
    table, own = metadata.describe(catalogue()), vectors()
    np.testing.assert_allclose(metadata.settled(table, own, np.full(60, 10_000)), own, atol=1e-3)


def test_a_word_of_few_titles_says_nothing() -> None:
    table = metadata.describe(catalogue())
    words = table[:, 29:]
    # "the", "return" and "film"; the numbers of the films occur once each.
    assert words.shape[1] == 3
    assert words.sum(axis=0).tolist() == [40.0, 20.0, 20.0]
