"""What a run leaves for drift: how inputs, labels and scores were distributed, and how good the ranker was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drift import Reference
from features import LIKED
from features.columns import ItemTable
from offline import lists, metrics, order_training
from offline.data import Ints, Ratings
from offline.history import Floats
from offline.moments import Moments
from offline.order_training import Lists
from offline.ranker import Ranker
from offline.split import Split

SCORED = 5_000
"""Validation events, liked or not, whose scores live ones are compared with."""


def sample(parts: Split, seed: int) -> Ints:
    """Places of SCORED validation events, drawn at random."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(parts.validation, min(SCORED, len(parts.validation)), replace=False))


class ScoredEvents:
    """Events with all that the ranker needs to score their items, as it would have just before them."""

    def __init__(self, ratings: Ratings, vectors: Floats, encode: lists.Encode, table: ItemTable) -> None:
        self._ratings, self._vectors, self._encode, self._table = ratings, vectors, encode, table
        self._parts: list[Lists] = []
        self._places: list[Ints] = []

    def use(self, moments: Moments) -> None:
        """Take the moments before some of the events."""
        self._parts.append(Lists.of_events(moments, self._vectors, self._encode, self._ratings, self._table))
        self._places.append(moments.place)

    def reference(
        self, ranker: Ranker, parts: Split, dense: Floats, pipeline: Mapping[str, float], seed: int
    ) -> Reference:
        """The reference: inputs and labels of the fit events, scores of these.

        Args:
            ranker: neither its encoder nor its P(like) has seen these events.
            parts: the split.
            dense: rows of the offline events, in the order of `parts.offline`.
            pipeline: metrics of the lists of validation events.
            seed: of the windows that are drawn for the bands.
        """
        scores = order_training.head_values(ranker.order, order_training.scored(ranker, self._parts))
        label = (self._ratings.rating[np.concatenate(self._places)] >= LIKED).astype(np.float64)
        quality = {
            "auc": metrics.auc(label, scores["like"]),
            "logloss": metrics.logloss(label, scores["like"]),
            "ece": metrics.ece(label, scores["like"]),
            "label_rate": float(label.mean()),
            "hit10": pipeline["hr@10"],
            "hit50": pipeline["hr@50"],
        }
        liked = self._ratings.rating[parts.fit] >= LIKED
        return Reference.of(self._ratings.userid[parts.fit], dense[: len(parts.fit)], liked, scores, quality, seed)
