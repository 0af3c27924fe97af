"""The models of P(like): their data, training side by side, and figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from offline import like_training, lists, metrics, parallel, similar
from offline.data import Ints, Ratings
from offline.history import Floats
from offline.like import Like
from offline.split import Split
from offline.windows import as_replayed, in_order
from settings import TrainSettings

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a word on how it goes."""


class LikeModels:
    """Trains and measures models of P(like).

    Args:
        ratings: the ratings.
        parts: their split.
        dense: rows of all offline events, in the order of `parts.offline`; FP32 [offline, 32].
        size: rows of the item table.
        settings: of training.

    Attributes:
        tables: what items say of each other, from fit alone until `see_validation`.
    """

    def __init__(self, ratings: Ratings, parts: Split, dense: Floats, size: int, settings: TrainSettings) -> None:
        self._parts, self._size, self._settings = parts, size, settings
        self._known = as_replayed(ratings, parts.offline)
        self._events = in_order(ratings, self._known)
        place_of = np.full(len(ratings), -1, dtype=np.int64)
        place_of[parts.offline] = np.arange(len(parts.offline))
        self._dense = dense[place_of[self._known]]
        self._ids = lists.pair_ids(ratings.catalogue, ratings.userid[self._known], ratings.itemid[self._known])
        self._users = max(ratings.catalogue.users) + 1
        near, self.tables = similar.describe(self._events, self._is(parts.fit), size, settings.history)
        self._pairs = self._with(near)

    def fit(self, workers: parallel.Workers, progress: Progress) -> list[Like]:
        """Models trained on fit."""
        settings, fitted = self._settings, np.flatnonzero(self._is(self._parts.fit))
        tasks = [
            like_training.Task(
                self._users,
                self._size,
                self._pairs,
                fitted,
                settings.history,
                settings.ranker_epochs,
                settings.ranker_batch,
                settings.ranker_rate,
                settings.seed + number,
            )
            for number in range(settings.ranker_models)
        ]
        done = [0] * len(tasks)

        def told(number: int, what: tuple[int, int, float]) -> None:
            step, steps, loss = what
            done[number] = step
            progress(sum(done), steps * len(tasks), f"loss {loss:.3f}")

        weights = workers.run(tasks, told)
        return [task.trained(of) for task, of in zip(tasks, weights, strict=True)]

    def see_validation(self) -> None:
        """Make the tables from validation events too; they follow from counts alone, no weight is trained."""
        self.tables = similar.similar(self._events, self._is(self._parts.train), self._size)
        places = np.flatnonzero(self._is(self._parts.test))
        near = np.full((len(self._known), similar.COLUMNS), np.nan, dtype=np.float32)
        near[places] = similar.near(self.tables, self._events, places, self._settings.history)
        self._pairs = self._with(near)

    def figures(self, models: list[Like], places: Ints) -> dict[str, float]:
        """AUC and log loss in nats of the models' mean, of events as they came; `places` in the ratings, INT64."""
        at = np.flatnonzero(self._is(places))
        each = [like_training.logits(model, self._pairs, at, self._settings.history) for model in models]
        label, like = self._events.liked[at].astype(np.float64), 1.0 / (1.0 + np.exp(-np.mean(each, axis=0)))
        return {"auc": metrics.auc(label, like), "logloss": metrics.logloss(label, like)}

    def _is(self, places: Ints) -> npt.NDArray[np.bool_]:
        return np.isin(self._known, places)

    def _with(self, near: Floats) -> like_training.Pairs:
        return like_training.Pairs(self._events, self._ids, np.concatenate([self._dense, near], axis=1))
