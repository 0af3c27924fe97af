from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from features.dataset.codes import Codes
from offline.data.readers import Ratings
from offline.data.windows import Sequences, sequences
from offline.models import similar
from tests import shop as goods
from tests.movielens import SCHEMA

HISTORY = 12


@pytest.fixture
def known(events: Ratings) -> Sequences:
    """All events of a data set."""
    return sequences(events, np.arange(len(events)))


@pytest.fixture
def codes(events: Ratings) -> Codes:
    return events.schema.codes


def of_users(item: np.ndarray, code: np.ndarray, length: int) -> Sequences:
    """Events of users with so many each."""
    n = len(item)
    nothing = np.zeros(n, dtype=bool)
    return Sequences(
        item, code, np.arange(n), nothing, nothing, np.arange(0, n + 1, length), np.arange(n // length) + 1
    )


def test_items_that_deviate_alike_are_similar() -> None:
    # Items 1 and 2 are rated alike by each user, item 3 the other way round.
    events = of_users(np.array([1, 2, 3] * 40), np.array([5, 5, 1, 1, 1, 5] * 20), 3)
    tables = similar.similar(SCHEMA.codes, events, np.ones(120, dtype=bool), 4)
    assert tables.cosine.others.tolist() == [[0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert tables.cosine.values[1, 3] == tables.cosine.values[2, 3] > 0.5
    torch.testing.assert_close(tables.expected[1:], torch.full((3,), 3.0))


def test_of_several_events_with_an_item_the_strongest_counts() -> None:
    # Each user views an item and then buys it, or the other way round.
    view, cart, purchase = goods.VIEW, goods.CART, goods.PURCHASE
    codes = goods.SCHEMA.codes
    events = of_users(np.array([1, 1, 2, 1, 1, 2]), np.array([view, purchase, cart, purchase, view, view]), 3)
    once = of_users(np.array([1, 2, 1, 2]), np.array([purchase, cart, purchase, view]), 2)
    tables = similar.similar(codes, events, np.ones(6, dtype=bool), 3)
    expected = similar.similar(codes, once, np.ones(4, dtype=bool), 3)
    torch.testing.assert_close(tables.expected, expected.expected)
    np.testing.assert_array_equal(tables.cosine.others, expected.cosine.others)
    np.testing.assert_allclose(tables.cosine.values, expected.cosine.values, rtol=1e-3)


def test_of_two_ratings_of_an_item_the_later_counts() -> None:
    events = of_users(np.array([1, 1, 2]), np.array([5, 2, 4]), 3)
    once = of_users(np.array([1, 2]), np.array([2, 4]), 2)
    tables = similar.similar(SCHEMA.codes, events, np.ones(3, dtype=bool), 3)
    expected = similar.similar(SCHEMA.codes, once, np.ones(2, dtype=bool), 3)
    torch.testing.assert_close(tables.expected, expected.expected)
    np.testing.assert_array_equal(tables.cosine.others, expected.cosine.others)
    np.testing.assert_allclose(tables.cosine.values, expected.cosine.values, rtol=1e-3)


def test_a_pair_is_described_by_the_formula(events: Ratings, known: Sequences, codes: Codes) -> None:
    tables = similar.similar(codes, known, np.arange(len(known)) % 3 > 0, events.items.size)
    place = int(known.start[5]) + 20
    of = np.arange(max(known.start[5], place - HISTORY), place)
    expected = tables.expected.numpy()
    deviation = np.array(codes.levels)[known.code[of]] - expected[known.item[of]]
    deviation = deviation - deviation.sum() / (len(of) + similar.DAMPING)
    kept = tables.cosine.others[known.item[of]] == known.item[place]
    weight = (tables.cosine.values[known.item[of], :, 0].astype(np.float32) * kept).sum(1)
    recent = weight * 0.5 ** (np.arange(len(of))[::-1] / similar.HALF_LIFE)
    told = [
        (weight**power @ deviation) / ((weight**power).sum() + damping)
        for power, damping in enumerate(similar.DAMPINGS, start=1)
    ]
    told += [(recent @ deviation) / (recent.sum() + 0.1), weight @ deviation, np.log1p(weight.sum())]
    [found] = similar.near(codes, tables, known, np.array([place]), HISTORY)
    np.testing.assert_allclose(found, told, rtol=1e-4, atol=1e-5)
    assert np.abs(found).max() > 0.01


def test_a_first_event_is_described_by_nothing(events: Ratings, known: Sequences, codes: Codes) -> None:
    tables = similar.similar(codes, known, np.ones(len(known), dtype=bool), events.items.size)
    assert (similar.near(codes, tables, known, known.start[:-1], HISTORY) == 0).all()


def test_a_label_does_not_describe_itself(events: Ratings, known: Sequences, codes: Codes) -> None:
    size, every = events.items.size, np.ones(len(known), dtype=bool)
    place = int(known.start[7]) + 5
    code = known.code.copy()
    code[place] = 1 if known.positive[place] else codes.size - 1
    values, _ = similar.describe(codes, known, every, size, HISTORY)
    other, _ = similar.describe(codes, replace(known, code=code), every, size, HISTORY)
    np.testing.assert_array_equal(values[place], other[place])
    # It does describe those after it.
    after = slice(place + 1, int(known.start[8]))
    assert np.abs(values[after] - other[after]).max() > 0.01


def test_without_events_nothing_is_similar(events: Ratings, known: Sequences, codes: Codes) -> None:
    values, tables = similar.describe(codes, known, np.zeros(len(known), dtype=bool), events.items.size, HISTORY)
    assert not tables.cosine.values.any()
    assert np.isfinite(values).all()
