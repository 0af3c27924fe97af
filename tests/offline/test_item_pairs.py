"""Pairs of items: which are kept, and that a model finds them however it is asked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from offline.models import item_pairs
from offline.models.item_pairs import Block, ItemPairs, Kept, Sparse, kept_of

SIZE = 40


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep 3 others of each item for each table."""
    monkeypatch.setattr(item_pairs, "KEPT", 3)


def tables() -> tuple[np.ndarray, np.ndarray]:
    """Values of all pairs in two tables, [SIZE, SIZE]: one with few of them, one without items below 7."""
    rng = np.random.default_rng(0)
    sparse = rng.random((SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.4)
    sparse[0], sparse[:, 0] = 0, 0
    dense = np.zeros((SIZE, SIZE))
    dense[7:, 7:] = rng.normal(size=(SIZE - 7, SIZE - 7))
    return sparse.astype(np.float32), dense.astype(np.float32)


def kept() -> Kept:
    sparse, dense = tables()
    return Kept.of(SIZE, [Sparse(csr_array(sparse)), Block(np.arange(7, SIZE), dense[7:, 7:])])


def test_the_pairs_of_an_item_are_those_that_rank_highest_in_any_table(few: None) -> None:
    found, (sparse, dense) = kept(), tables()
    assert found.others.shape == (SIZE, 6)
    for item in range(1, SIZE):
        best = [
            [other for other in np.argsort(-np.abs(table[item])) if table[item, other]] for table in (sparse, dense)
        ]
        rank = {other: min(row.index(other) for row in best if other in row) for row in best for other in row}
        chosen = {int(other) for other in found.others[item] if other}
        assert len(chosen) == 6
        assert max(rank[other] for other in chosen) <= min(rank[other] for other in rank.keys() - chosen)
        for other, values in zip(found.others[item], found.values[item], strict=True):
            np.testing.assert_allclose(values, [sparse[item, other], dense[item, other]], rtol=1e-3)
    assert not found.others[0].any() and not found.values[0].any()
    assert all(left <= right for row in found.others for left, right in pairwise(row))


def test_all_pairs_are_kept_where_there_are_few_items() -> None:
    found, (sparse, dense) = kept(), tables()
    made = np.zeros((SIZE, SIZE, 2))
    np.add.at(made, (np.arange(SIZE)[:, None], found.others), found.values)
    np.testing.assert_allclose(made, np.stack([sparse, dense], 2), rtol=1e-3)


def test_noted_and_searched_pairs_are_the_same(few: None) -> None:
    model = ItemPairs(SIZE, 2)
    model.set_pairs(kept())
    rng = np.random.default_rng(1)
    past = torch.from_numpy(rng.integers(0, SIZE, (3, 6)))
    row = torch.arange(3).repeat_interleave(12)
    item = torch.from_numpy(np.concatenate([rng.permutation(np.arange(1, SIZE))[:12] for _ in range(3)]))
    item[5] = item[7] = 0
    noted, searched = model._noted(past, row, item), model._searched(past, row, item)
    torch.testing.assert_close(noted, searched)
    assert noted.shape == (36, 6, 2) and (noted != 0).any() and not noted[5].any()
    torch.testing.assert_close(model(past, row, item), noted)
    torch.testing.assert_close(model(past, row[::12], item[::12]), searched[::12])


def test_fewer_others_are_kept_the_more_items_there_are() -> None:
    assert kept_of(4, 1) == 4 and kept_of(4_000, 1) == 256 and kept_of(4_000, 2) == 512
    assert kept_of(400_000, 2) * 400_000 <= item_pairs.MOST
    assert kept_of(10**9, 1) == item_pairs.FEWEST


def test_tables_without_a_pair_keep_none() -> None:
    nothing = np.empty(0, dtype=np.int64)
    found = Kept.of(3, [Sparse(csr_array((3, 3), dtype=np.float32)), Block(nothing, np.empty((0, 0), np.float32))])
    assert not found.others.any() and not found.values.any()
