"""The final order, and the place of an item in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import MISSED, NO_ITEM, Lists
from scoring.order import final_order, top

SCORES = st.lists(st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 0.5, 3.0]), min_size=1, max_size=12)


def test_equal_scores_go_by_itemid() -> None:
    lists = Lists.ordered(np.array([[4, 2, 9, NO_ITEM]]), np.array([[1.0, 1.0, 3.0, 5.0]]))
    assert lists.column.tolist() == [[9, 2, 4, NO_ITEM]]
    assert lists.entries(0) == [(9, 3.0), (2, 1.0), (4, 1.0)]


@given(scores=SCORES, data=st.data())
def test_a_list_falls_in_score_and_holds_each_item_once_whatever_order_they_came_in(
    scores: list[float], data: st.DataObject
) -> None:
    columns = data.draw(st.permutations(range(len(scores))))
    lists = Lists.ordered(np.array([columns]), np.array([scores])[:, columns])
    assert lists.entries(0) == sorted(enumerate(scores), key=lambda entry: (-entry[1], entry[0]))


@given(scores=SCORES, k=st.integers(0, 14))
def test_the_best_are_the_first_of_the_whole_list(scores: list[float], k: int) -> None:
    whole = sorted(range(len(scores)), key=lambda column: (-scores[column], column))
    assert top(np.array([scores]), k).tolist() == [sorted(whole[:k])]
    best = Lists.best(np.array([scores]), k, above=0.0)
    assert [column for column, _ in best.entries(0)] == [column for column in whole[:k] if scores[column] > 0.0]


@given(rows=st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=5, max_size=5), min_size=1, max_size=4))
def test_lists_of_a_batch_are_those_of_each_row_alone(rows: list[list[float]]) -> None:
    together = Lists.best(np.array(rows), 3)
    for row, scores in enumerate(rows):
        assert together.entries(row) == Lists.best(np.array([scores]), 3).entries(0)


def test_the_rank_of_an_item_is_its_place_and_of_one_that_is_missing_none() -> None:
    lists = Lists.ordered(np.array([[4, 2, 9], [4, NO_ITEM, NO_ITEM]]), np.array([[1.0, 1.0, 3.0], [1.0, 0.0, 0.0]]))
    assert lists.rank_of(np.array([4, 4])).tolist() == [2, 0]
    assert lists.rank_of(np.array([5, NO_ITEM])).tolist() == [MISSED, MISSED]
    assert Lists.ordered(np.empty((1, 0), dtype=np.int64), np.empty((1, 0))).rank_of(np.array([1])).tolist() == [MISSED]


def test_rows_of_another_set_of_lists_take_the_place_of_some() -> None:
    lists = Lists.ordered(np.array([[4, 2], [1, 3]]), np.array([[1.0, 2.0], [2.0, 1.0]]))
    other = Lists.ordered(np.array([[7, 8, 9], [7, 8, 9]]), np.array([[3.0, 2.0, 1.0]] * 2))
    made = lists.replaced(np.array([False, True]), other)
    assert [made.entries(row) for row in range(2)] == [lists.entries(0), other.entries(1)]


@pytest.mark.parametrize("score", [np.float32, np.float64])
def test_an_order_of_ties_alone_is_that_of_the_itemids(score: type) -> None:
    assert final_order(np.array([[3, 1, 2]]), np.zeros((1, 3), dtype=score)).tolist() == [[1, 2, 0]]
