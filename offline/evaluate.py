"""Quality on the held-out online events: each replayed in time order, each list made from the seconds before it.

Seen items are left out, the whole catalogue takes part. The models are those of a run folder, run by onnxruntime, as
in serving.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from features import LIKED
from offline import lists, metrics, runs
from offline.data import Ints, Ratings, load
from offline.errors import RunError
from offline.history import Floats, ItemTable, State, replay
from offline.moments import Collector, Moments
from offline.split import Split, online_events, split, time_order
from settings import Settings

Progress = Callable[[str, int, int], None]
"""Called with the stage, events done and events in all."""

Report = dict[str, Any]


class Models:
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

    def rank(self, user_vector: Floats, ids: Ints, dense: Floats) -> tuple[Floats, Floats, Floats]:
        """(next, like, score), FP32 [N] each."""
        given = {"user_vector": user_vector, "ids": ids, "dense": dense}
        following, like, score = self._ranker.run(["next", "like", "score"], given)
        return following, like, score


class Places:
    """Collects the place of each wanted item in the lists of each system."""

    def __init__(self, ratings: Ratings, models: Models, vectors: Floats, candidates: int) -> None:
        self._ratings, self._models, self._vectors, self._candidates = ratings, models, vectors, candidates
        self._table = ItemTable(ratings.catalogue)
        self.ranks: dict[str, list[Ints]] = {"pipeline": [], "recall": [], "popularity": []}

    def add(self, moments: Moments) -> None:
        """Make the lists at some moments."""
        wanted = lists.wanted_column(self._ratings, moments)
        recalled = lists.recall(moments, self._vectors, self._models.encode)
        ranked = lists.rank(moments, recalled, self._ratings, self._table, self._models.rank, self._candidates)
        popular = moments.item_likes.astype(np.float64)
        popular[moments.seen_row, moments.seen_column] = -np.inf
        self.ranks["pipeline"].append(lists.rank_among(ranked.column, ranked.score, wanted))
        self.ranks["recall"].append(lists.rank_in(recalled.score, wanted))
        self.ranks["popularity"].append(lists.rank_in(popular, wanted))

    def report(self) -> Report:
        """{system: {"live": metrics}}."""
        return {name: {"live": metrics.of_ranks(np.concatenate(ranks))} for name, ranks in self.ranks.items()}


def evaluate(
    settings: Settings,
    run: str | None = None,
    sample: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Measure a run, the newest where none is named, on the liked online events or a sample of them.

    Returns:
        {"run", "events", "pipeline": {"live"}, "recall": {"live"}, "popularity": {"live"}}, each `live` with the
        metrics of `offline.metrics.of_ranks`.

    Raises:
        DataError: the ratings are missing or malformed.
        RunError: there is no such run.
    """
    path = runs.folder(settings, run)
    manifest = runs.check(path)
    ratings = load(settings)
    parts = split(ratings, settings.data)
    itemids, vectors = runs.item_vectors(path)
    if not np.array_equal(itemids, sorted(ratings.catalogue.items)):
        raise RunError(f"run {manifest.run} was trained on another catalogue; train again")
    targets = _targets(ratings, parts, sample, manifest.seed)
    places = Places(ratings, Models(path, settings.train.threads), vectors, settings.recall.vector_k)
    collector = Collector(ratings, targets, places.add, manifest.input_schema.history)
    state = replay(
        ratings,
        time_order(ratings, parts.offline),
        State(ratings.catalogue),
        progress=lambda done, total: progress("history", done, total),
    )
    replay(
        ratings,
        online_events(ratings, parts),
        state,
        (collector,),
        lambda done, total: progress("online", done, total),
    )
    collector.finish()
    return {"run": manifest.run, "events": len(targets), **places.report()}


def _targets(ratings: Ratings, parts: Split, sample: int | None, seed: int) -> Ints:
    liked = parts.online[ratings.rating[parts.online] >= LIKED]
    if sample is None or sample >= len(liked):
        return liked
    return np.sort(np.random.default_rng(seed).choice(liked, sample, replace=False))
