"""The order of a list, and the place of an item in it: by descending score, ties by ascending itemid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.schema import Ints

Scores = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

NO_ITEM = -1
"""Column of a place behind the end of a list."""

MISSED = 1_000_000
"""Rank of an item that is not in the list."""


def final_order(column: Ints, score: Scores) -> Ints:
    """Places of the entries of each list, best first.

    Args:
        column: items, INT64 [B, K].
        score: what the list is ordered by, [B, K]; -inf where there is no item, which comes last.

    Returns:
        INT64 [B, K].

    >>> final_order(np.array([[4, 2, 9, NO_ITEM]]), np.array([[1.0, 1.0, 3.0, -np.inf]])).tolist()
    [[2, 1, 0, 3]]
    """
    return np.lexsort((column, -score), axis=-1)


def top(score: Scores, k: int) -> Ints:
    """Columns of the k highest scores of each row, ascending; of equal scores at the end, the lower columns.

    Args:
        score: [B, items], none of them NaN.
        k: how many; all where there are fewer.

    Returns:
        INT64 [B, min(k, items)].

    >>> top(np.array([[1.0, 3.0, 1.0, 2.0]]), 3).tolist()
    [[0, 1, 3]]
    """
    rows, items = score.shape
    if k >= items:
        return np.broadcast_to(np.arange(items), score.shape).copy()
    if k == 0:
        return np.empty((rows, 0), dtype=np.int64)
    least = np.partition(score, items - k, axis=1)[:, items - k, None]
    chosen, tied = score > least, score == least
    free = k - np.count_nonzero(chosen, axis=1)
    full = np.count_nonzero(tied, axis=1) > free
    if full.any():
        tied[full] &= np.cumsum(tied[full], axis=1) <= free[full, None]
    return np.nonzero(chosen | tied)[1].reshape(rows, k)


@dataclass(frozen=True, slots=True)
class Lists:
    """A list for each of B users, best first.

    Attributes:
        column: items, as columns of the catalogue, by ascending itemid; NO_ITEM behind the end of a list. INT64 [B, K].
        score: what each list is ordered by, -inf behind its end; [B, K].
    """

    column: Ints
    score: Scores

    @classmethod
    def ordered(cls, column: Ints, score: Scores) -> Lists:
        """Items in their final order; NO_ITEM where there is none. Both [B, K]."""
        score = np.where(column == NO_ITEM, -np.inf, score)
        return cls(column, score).take(final_order(column, score))

    @classmethod
    def best(cls, score: Scores, k: int, above: float = -np.inf) -> Lists:
        """The k best of all items, without those whose score is `above` or lower; `score` is [B, items]."""
        column = top(score, k)
        chosen = np.take_along_axis(score, column, axis=1)
        return cls.ordered(np.where(chosen > above, column, NO_ITEM), chosen)

    def take(self, place: Ints) -> Lists:
        """The entries at some places of each list, INT64 [B, K']."""
        row = np.arange(len(place))[:, None]
        return Lists(self.column[row, place], self.score[row, place])

    def rows(self, row: Ints) -> Lists:
        """The lists at some rows, INT64 [B']."""
        return Lists(self.column[row], self.score[row])

    def first(self, size: int | None) -> Lists:
        """The first entries of each list; all where `size` is None."""
        return Lists(self.column[:, :size], self.score[:, :size])

    def entries(self, row: int) -> list[tuple[int, float]]:
        """(column, score) of the entries of one list, best first."""
        column = self.column[row][self.column[row] != NO_ITEM]
        return list(zip(column.tolist(), self.score[row, : len(column)].tolist(), strict=True))

    def rank_of(self, column: Ints) -> Ints:
        """Place of an item in each list, from 0; MISSED where it is not in it. INT64 [B] to INT64 [B].

        >>> Lists(np.array([[7, 8], [7, NO_ITEM]]), np.zeros((2, 2))).rank_of(np.array([8, 8])).tolist()
        [1, 1000000]
        """
        hit = (self.column == column[:, None]) & (self.column != NO_ITEM)
        if not hit.shape[1]:
            return np.full(len(column), MISSED, dtype=np.int64)
        return np.where(hit.any(axis=1), hit.argmax(axis=1), MISSED).astype(np.int64)

    def replaced(self, rows: Bools, other: Lists) -> Lists:
        """The lists with those of some rows, bool [B], replaced by those of another set of B lists."""
        return Lists(
            with_rows(self.column, rows, other.column, NO_ITEM), with_rows(self.score, rows, other.score, -np.inf)
        )


def with_rows(values: npt.NDArray[Any], rows: Bools, other: npt.NDArray[Any], none: float) -> npt.NDArray[Any]:
    """Values [B, K] with some rows, bool [B], replaced by those of others [B, K']; the shorter are filled with `none`.

    >>> with_rows(np.array([[1, 2], [3, 4]]), np.array([False, True]), np.array([[5], [6]]), -1).tolist()
    [[1, 2], [6, -1]]
    """
    width = max(values.shape[1], other.shape[1])
    return np.where(rows[:, None], padded(other, width, none), padded(values, width, none))


def padded(values: npt.NDArray[Any], width: int, none: float) -> npt.NDArray[Any]:
    """Values [B, K] as [B, width], filled with `none`."""
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=none)
