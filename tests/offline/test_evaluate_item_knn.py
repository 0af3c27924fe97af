"""The baseline of item-based nearest neighbours, against the obvious way to count them."""

from __future__ import annotations

import numpy as np
import pytest

from offline.data.readers import Ratings
from offline.data.split import Split
from offline.evaluate import item_knn
from offline.evaluate.item_knn import ItemKnn
from scoring import UserState


def cosines(events: Ratings, places: np.ndarray) -> np.ndarray:
    """The cosine of each two items, [items, items]; 0 of an item and itself."""
    liked = np.zeros((events.users.size, len(events.items)))
    for place in places[events.positive[places]].tolist():
        liked[events.user[place], events.item[place] - 1] = 1.0
    norm = np.maximum(np.linalg.norm(liked, axis=0), 1e-9)
    similar = liked.T @ liked / norm / norm[:, None]
    np.fill_diagonal(similar, 0.0)
    return similar


def test_neighbours_are_those_of_the_cosine(
    events: Ratings, events_parts: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_knn, "AT_ONCE", 17)
    monkeypatch.setattr(item_knn, "NEIGHBOURS", 12)
    similar = cosines(events, events_parts.offline)
    made = ItemKnn.of(events, events_parts.offline)
    assert made.neighbour.shape == (len(events.items), 12)
    for column in range(len(events.items)):
        np.testing.assert_allclose(made.cosine[column], similar[column, made.neighbour[column]], atol=1e-6)
        np.testing.assert_allclose(np.sort(made.cosine[column]), np.sort(similar[column])[-12:], atol=1e-6)
        assert len({*made.neighbour[column].tolist()}) == 12


def test_the_last_positive_items_count_the_later_ones_more(events: Ratings, events_parts: Split) -> None:
    similar = cosines(events, events_parts.offline)
    made = ItemKnn.of(events, events_parts.offline)
    codes = events.schema.codes
    good, bad = (codes.positive.index(positive, 1) for positive in (True, False))
    a, b, c = (events.items.id(number) for number in (3, 7, 9))
    recent = [(1, c, bad), (2, a, good), (3, b, good), (4, a, good), (5, c, bad)]
    user = UserState(events.schema.user(events.users.id(1)), recent, (), [b])
    lists = made.lists([user, UserState(user.user)], 20)
    expected = similar[2] + similar[6] / 2
    expected[6] = -1.0
    found = lists.entries(0)
    assert [score for _, score in found] == pytest.approx(np.sort(expected)[::-1][:20], abs=1e-5)
    assert 6 not in dict(found)
    # A user without positive events gets what is popular.
    liked = events_parts.offline[events.positive[events_parts.offline]]
    pairs = np.unique(np.column_stack([events.item[liked], events.user[liked]]), axis=0)
    likes = np.bincount(pairs[:, 0] - 1, minlength=len(events.items))
    assert [int(likes[column]) for column, _ in lists.entries(1)] == np.sort(likes)[::-1][:20].tolist()


def test_of_many_positive_events_the_last_ones_count(ratings: Ratings, parts: Split) -> None:
    made = ItemKnn.of(ratings, parts.offline)
    recent = [(ts, ts + 1, 5) for ts in range(30)]
    one = made.lists([UserState(ratings.schema.user(1), recent)], 50)
    other = made.lists([UserState(ratings.schema.user(1), recent[-item_knn.LAST :])], 50)
    assert np.array_equal(one.column, other.column) and np.array_equal(one.score, other.score)
