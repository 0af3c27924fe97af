"""The lists that the system would have served, made in batches as the API makes each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from features import DECADES, GENRES, dense
from features.columns import ItemTable, user_columns
from offline import runs
from offline.data.history import Floats
from offline.data.readers import Ints, Ratings
from offline.data.split import Split
from offline.data.term_prior import term_prior
from offline.evaluate.state import Known, Scores
from offline.train.lists import pair_ids
from settings import RecallSettings
from stores.elasticsearch import TERM_BOOST

NO_ITEM = -1
"""Column of a place behind the end of a list."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lists:
    """A list for each of B moments, best first.

    Attributes:
        column: places in the ascending itemids, NO_ITEM behind the end of a list; INT64 [B, K].
        score: what each list is ordered by, FP64 [B, K].
    """

    column: Ints
    score: Scores

    @classmethod
    def ordered(cls, column: Ints, score: Scores, there: Bools) -> Lists:
        """Candidates by descending score, ties by ascending itemid, without those that are not there; all [B, K]."""
        scores = np.where(there, score.astype(np.float64), -np.inf)
        order = np.lexsort((column, -scores), axis=1)
        columns = np.where(there, column, NO_ITEM)
        return cls(np.take_along_axis(columns, order, axis=1), np.take_along_axis(scores, order, axis=1))


class RunModels:
    """The two models of a run folder under onnxruntime.

    Args:
        path: the run folder.
        threads: CPU threads of a model; 0: all.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._encoder, self._ranker = (
            onnxruntime.InferenceSession(path / name / "model.onnx", options, providers=["CPUExecutionProvider"])
            for name in (runs.USER_ENCODER, runs.RANKER)
        )

    def encode(self, items: Ints, liked: Ints) -> Floats:
        """User vectors, FP32 [B, D + 1]."""
        vector: Floats = self._encoder.run(["user_vector"], {"items": items, "liked": liked})[0]
        return vector

    def rank(
        self, user_vector: Floats, items: Ints, rating: Ints, row: Ints, ids: Ints, dense: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Rank N pairs of U users and items.

        Args:
            user_vector: FP32 [U, D + 1].
            items, rating: the users' last events, INT64 [U, history].
            row: row of each pair's user, INT64 [N].
            ids: INT64 [N, 5], as in `features.IDS`.
            dense: FP32 [N, 32], as in `features.DENSE_COLUMNS`.

        Returns:
            (next, like, score), FP32 [N] each.
        """
        given = {"user_vector": user_vector, "items": items, "rating": rating, "row": row, "ids": ids, "dense": dense}
        following, like, score = self._ranker.run(["next", "like", "score"], given)
        return following, like, score


class Lister:
    """Makes lists with the models of a run.

    Args:
        models: the models.
        vectors: item vectors by ascending itemid, FP32 [items, D + 1].
        ratings: the data.
        parts: its split; terms are weighed by the likes of the offline part, as `publish` does.
        recall: how many candidates come from which source.
    """

    def __init__(
        self, models: RunModels, vectors: Floats, ratings: Ratings, parts: Split, recall: RecallSettings
    ) -> None:
        self._models, self._vectors, self._recall = models, vectors, recall
        self._catalogue = ratings.catalogue
        self._itemids = np.array(sorted(ratings.catalogue.items), dtype=np.int64)
        self._table = ItemTable(ratings.catalogue.items)
        prior = term_prior(ratings, parts.offline)
        self._prior = np.array([prior[itemid] for itemid in self._itemids.tolist()], dtype=np.float32)
        self._hot = np.zeros((GENRES_AND_DECADES, len(self._itemids)))
        for column, itemid in enumerate(self._itemids.tolist()):
            item = ratings.catalogue.items[itemid]
            self._hot[list(item.genres), column] = 1.0
            self._hot[len(GENRES) + item.decade, column] = 1.0

    def make(self, known: Known) -> dict[str, Lists]:
        """The lists of every system.

        Returns:
            `pipeline`: recall by both sources, ordered by the ranker; `recall`: the same candidates by the encoder's
            score; `vector` and `terms`: the candidates of one source alone, by its own score; `popularity`: the most
            popular of all items, as the API serves where nothing is known of a user. A user without events gets the
            popular items from each of them. `likes`: all items by the number of their likes.
        """
        vectors, encoded = self._encoded(known)
        terms = self._terms(known)
        popular = self.popular(known)
        column, there = self._candidates(known, encoded, terms)
        score = np.take_along_axis(encoded, column, axis=1)
        best = top(terms, self._recall.vector_k + self._recall.term_k)
        made = {
            "pipeline": Lists.ordered(column, self._ranked(known, vectors, column), there),
            "recall": Lists.ordered(column, score, there),
            "vector": self._nearest(encoded),
            "terms": _of(best, terms, 0.0),
        }
        made = {name: _or_popular(lists, popular, known.events == 0) for name, lists in made.items()}
        return {**made, "popularity": popular, "likes": self._by(known, known.likes)}

    def pipeline(self, known: Known) -> Lists:
        """The list of the whole pipeline alone."""
        vectors, encoded = self._encoded(known)
        column, there = self._candidates(known, encoded, self._terms(known))
        made = Lists.ordered(column, self._ranked(known, vectors, column), there)
        new = known.events == 0
        return _or_popular(made, self.popular(known), new) if new.any() else made

    def nearest(self, known: Known) -> Lists:
        """The nearest vectors alone."""
        return self._nearest(self._encoded(known)[1])

    def popular(self, known: Known) -> Lists:
        """The most popular items, as many as recall brings."""
        return self._by(known, known.popular)

    def _by(self, known: Known, value: npt.NDArray[np.generic]) -> Lists:
        score = value.astype(np.float64)
        score[known.seen_row, known.seen_column] = -np.inf
        return _of(top(score, self._recall.vector_k + self._recall.term_k), score, -np.inf)

    def _encoded(self, known: Known) -> tuple[Floats, Floats]:
        vectors = self._models.encode(known.items, known.liked)
        score = vectors @ self._vectors.T
        score[known.seen_row, known.seen_column] = -np.inf
        return vectors, score

    def _nearest(self, encoded: Floats) -> Lists:
        return _of(top(encoded, self._recall.vector_k), encoded, -np.inf)

    def _terms(self, known: Known) -> Floats:
        """Elasticsearch's score of the terms, FP32 [B, items]; 0 where no term matches or the item was rated."""
        score: Floats = ((known.terms * TERM_BOOST) @ self._hot).astype(np.float32) * self._prior
        score[known.seen_row, known.seen_column] = 0.0
        return score

    def _candidates(self, known: Known, encoded: Floats, terms: Floats) -> tuple[Ints, Bools]:
        """What Elasticsearch recalls: the first of the sum of its two scores, that of the vector for the nearest only.

        Its score of an inner product p is p + 1, or 1 / (1 - p) where p is below 0.
        """
        total = terms.copy() if self._recall.term_k else np.zeros_like(terms)
        near = top(encoded, self._recall.vector_k)
        product = np.take_along_axis(encoded, near, axis=1)
        score = np.where(product < 0, 1.0 / (1.0 - np.minimum(product, 0.0)), product + 1.0).astype(np.float32)
        np.put_along_axis(total, near, np.take_along_axis(total, near, axis=1) + score, axis=1)
        column = top(total, self._recall.vector_k + self._recall.term_k)
        return column, np.take_along_axis(total, column, axis=1) > 0

    def _ranked(self, known: Known, vectors: Floats, column: Ints) -> Floats:
        """The ranker's score of each candidate, FP32 [B, K]."""
        rows, length = column.shape
        row, flat = np.repeat(np.arange(rows), length), column.reshape(-1)
        itemid = self._itemids[flat]
        item = self._table.columns(itemid, known.n[row, flat], known.likes[row, flat])
        ids = pair_ids(self._catalogue, known.userid[row], itemid)
        return self._rank(known, vectors, row, ids, dense(user_columns(known.user[row]), item)).reshape(rows, length)

    def _rank(self, known: Known, vectors: Floats, row: Ints, ids: Ints, inputs: Floats) -> Floats:
        """The one call of the ranker: scores of pairs whose moment is `row` of `known`."""
        return self._models.rank(vectors, known.items, known.rating, row, ids, inputs)[2]


GENRES_AND_DECADES = len(GENRES) + DECADES

TIE = 1e-12
"""Taken off a score for each column, so that of equal scores the lower itemid is the higher."""


def top(score: Scores, k: int) -> Ints:
    """Columns of the k highest scores in each row, in no order, ties to the lower column; INT64 [B, min(k, items)].

    >>> np.sort(top(np.array([[1.0, 3.0, 1.0, 2.0]]), 3)).tolist()
    [[0, 1, 3]]
    """
    items = score.shape[1]
    if k >= items:
        return np.broadcast_to(np.arange(items), score.shape).copy()
    key = np.arange(items) * TIE - score
    return np.argpartition(key, k - 1, axis=1)[:, :k]


def _of(column: Ints, score: Scores, none: float) -> Lists:
    """Lists of the columns, without those whose score is `none` or lower."""
    chosen = np.take_along_axis(score, column, axis=1)
    return Lists.ordered(column, chosen, chosen > none)


def _or_popular(lists: Lists, popular: Lists, new: Bools) -> Lists:
    if not new.any():
        return lists
    width = max(lists.column.shape[1], popular.column.shape[1])
    made, other = (_padded(each, width) for each in (lists, popular))
    return Lists(np.where(new[:, None], other.column, made.column), np.where(new[:, None], other.score, made.score))


def _padded(lists: Lists, width: int) -> Lists:
    more = ((0, 0), (0, width - lists.column.shape[1]))
    return Lists(
        np.pad(lists.column, more, constant_values=NO_ITEM), np.pad(lists.score, more, constant_values=-np.inf)
    )
