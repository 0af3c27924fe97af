"""The reference for drift: the distributions of inputs, labels and scores, and the quality of the ranker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drift import Reference
from drift.classification_metrics import auc, ece, logloss
from drift.reference import Scores
from drift.series import SCORES, Series
from features.columns import ItemTable
from offline import ranking_metrics, runs
from offline.data.arrivals import Arrivals, Before
from offline.data.history import Floats
from offline.data.readers import Ints, Ratings
from offline.errors import RunError
from offline.models.ranker import Ranker
from offline.train import reranker_training
from offline.train.lists import CandidateLists, EncoderRecall

AT_ONCE = 256
"""Events that are scored at once."""


@dataclass(frozen=True)
class ServedModels:
    """The models as they are served.

    Attributes:
        ranker: all outputs.
        recall: the user encoder and the item vectors.
    """

    ranker: Ranker
    recall: EncoderRecall


@dataclass(frozen=True)
class ScoredArrivals:
    """Scores by the served models for events that they had not learned from.

    Attributes:
        arrivals: the events, N of them.
        values: next, like and score, by name, [N] each.
        liked: 1 for a positive event, [N].
        ranks: of the positive events' items in the lists before them, INT64; not of items that were hidden.
    """

    arrivals: Arrivals
    values: dict[str, Floats]
    liked: Ints
    ranks: Ints

    @classmethod
    def of(cls, ratings: Ratings, arrivals: Arrivals, before: Before, served: ServedModels) -> ScoredArrivals:
        """Score events, and make the lists before those that are positive."""
        place, ranker = arrivals.place, served.ranker
        liked = ratings.positive[place]
        events, ranked = [], []
        for start in range(0, len(place), AT_ONCE):
            some = place[start : start + AT_ONCE]
            states = before.states(some)
            events.append(CandidateLists.of_events(states, ratings.item[some] - 1, served.recall))
            shown = [ratings.itemid(at) not in user.exclude for at, user in zip(some, states.users, strict=True)]
            some = some[liked[start : start + AT_ONCE] & np.array(shown)]
            if len(some):
                made = CandidateLists.of(before.states(some), ratings.item[some] - 1, served.recall)
                ranked.append(reranker_training.ranks(ranker.reranker, reranker_training.scored(ranker, [made])))
        values = reranker_training.head_values(ranker.reranker, reranker_training.scored(ranker, events))
        ranks = np.concatenate(ranked) if ranked else np.empty(0, dtype=np.int64)
        return cls(arrivals, values, liked.astype(np.int64), ranks)

    def save(self, path: Path) -> None:
        """Write the scores, for `bench drift`."""
        columns: dict[str, Any] = {"place": self.arrivals.place, "block": self.arrivals.block, **self.values}
        np.savez(path, **columns)

    def quality(self) -> dict[str, float]:
        """Quality of the models."""
        label, like = self.liked.astype(np.float64), self.values["like"]
        hits = ranking_metrics.of_ranks(self.ranks)
        return {
            "auc": auc(label, like),
            "logloss": logloss(label, like),
            "ece": ece(label, like),
            "label_rate": float(label.mean()),
            "hit10": hits["hr@10"],
            "hit50": hits["hr@50"],
        }


def reference(ratings: Ratings, arrivals: Arrivals, before: Before, scored: ScoredArrivals, seed: int) -> Reference:
    """The reference: inputs and labels of the events that stand for those to come, scores of the unseen ones.

    `seed` is of the windows that are drawn for the thresholds.
    """
    rows = before.rows(ItemTable(ratings.schema, ratings.catalogue.items))
    liked = ratings.positive[arrivals.place]
    scores = Scores(scored.values, scored.arrivals.block)
    series = Series(ratings.schema)
    return Reference.of(series, arrivals.block, rows, liked, scores, scored.quality(), seed)


def require_same_users(run: Path, ratings: Ratings) -> None:
    """Require that a run's places in the ratings are still those of the same events.

    Raises:
        RunError: if users were erased from them since.
    """
    if runs.manifest(run).erased_to != ratings.erased_to:
        raise RunError(f"users were erased since run {run.name} was trained; train again to measure drift")


def read_scores(path: Path) -> tuple[Ints, Scores]:
    """The file that `ScoredArrivals.save` wrote: the events' places in the ratings, and their scores.

    Raises:
        RunError: the run has none, as those of earlier versions.
    """
    if not path.is_file():
        raise RunError(f"{path.parent.name} has no {path.name}; train again to measure drift")
    with np.load(path) as columns:
        values = {name: columns[name] for name in SCORES}
        return columns["place"], Scores(values, columns["block"])
