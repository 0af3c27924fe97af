from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from offline.data.readers import Ratings
from offline.data.windows import Sequences, sequences
from offline.models import similar

HISTORY = 12


@pytest.fixture
def events(ratings: Ratings) -> Sequences:
    return sequences(ratings, np.arange(len(ratings)))


def size(events: Sequences) -> int:
    return int(events.itemid.max()) + 1


def test_items_that_deviate_alike_are_similar() -> None:
    # Items 1 and 2 are rated alike by each user, item 3 the other way round.
    rating = np.array([5, 5, 1, 1, 1, 5] * 20)
    itemid = np.array([1, 2, 3] * 40)
    events = Sequences(itemid, rating, np.arange(120), np.arange(0, 121, 3), np.arange(1, 41))
    tables = similar.similar(events, np.ones(120, dtype=bool), 4)
    assert tables.cosine[1, 2] > 0.5
    assert tables.cosine[1, 3] == tables.cosine[2, 3] == tables.cosine[1, 1] == 0
    torch.testing.assert_close(tables.expected[1:], torch.full((3,), 3.0))


def test_a_pair_is_described_by_the_formula(events: Sequences) -> None:
    tables = similar.similar(events, np.arange(len(events.itemid)) % 3 > 0, size(events))
    place = int(events.start[5]) + 30
    of = np.arange(max(events.start[5], place - HISTORY), place)
    expected = tables.expected.numpy()
    deviation = events.rating[of] - expected[events.itemid[of]]
    deviation = deviation - deviation.sum() / (len(of) + similar.DAMPING)
    weight = tables.cosine.float().numpy()[events.itemid[of], events.itemid[place]]
    recent = weight * 0.5 ** (np.arange(len(of))[::-1] / similar.HALF_LIFE)
    told = [(weight**power @ deviation) / ((weight**power).sum() + damping) for power, damping in similar.POWERS]
    told += [(recent @ deviation) / (recent.sum() + 0.1), weight @ deviation, np.log1p(weight.sum())]
    [found] = similar.near(tables, events, np.array([place]), HISTORY)
    np.testing.assert_allclose(found, told, rtol=1e-4, atol=1e-5)


def test_a_first_event_is_described_by_nothing(events: Sequences) -> None:
    tables = similar.similar(events, np.ones(len(events.itemid), dtype=bool), size(events))
    assert (similar.near(tables, events, events.start[:-1], HISTORY) == 0).all()


def test_a_label_does_not_describe_itself(events: Sequences) -> None:
    known = np.ones(len(events.itemid), dtype=bool)
    place = int(events.start[7]) + 5
    rating = events.rating.copy()
    rating[place] = 1 if rating[place] > 3 else 5
    values, _ = similar.describe(events, known, size(events), HISTORY)
    other, _ = similar.describe(replace(events, rating=rating), known, size(events), HISTORY)
    np.testing.assert_array_equal(values[place], other[place])
    # It does describe the event after it.
    assert np.abs(values[place + 1] - other[place + 1]).max() > 0.01
