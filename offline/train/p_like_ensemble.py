"""The models of P(like): their data, training side by side, and figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from drift.classification_metrics import auc, logloss
from offline.data.history import Floats
from offline.data.readers import Ints, Ratings
from offline.data.split import Split
from offline.data.windows import as_replayed, in_order
from offline.models import similar
from offline.models.p_like import PLike
from offline.train import p_like_training, parallel
from scoring.inputs import attributes_of, pair_ids
from settings import TrainSettings

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a word on how it goes."""


class PLikeEnsemble:
    """Trains and measures models of P(like).

    Args:
        ratings: the ratings.
        parts: their split.
        dense: rows of all offline events, in the order of `parts.offline`; FP32 [offline, columns].
        settings: of training.

    Attributes:
        tables: what items say of each other, from fit alone until `see_validation`.
    """

    def __init__(self, ratings: Ratings, parts: Split, dense: Floats, settings: TrainSettings) -> None:
        self._ratings, self._parts, self._settings = ratings, parts, settings
        self._codes, self._size = ratings.schema.codes, ratings.items.size
        self._attributes = attributes_of(ratings.schema, ratings.catalogue, ratings.users.ids)
        self._known = as_replayed(ratings, parts.offline)
        self._dense = dense
        self._row = np.full(len(ratings), -1, dtype=np.int64)
        self._row[parts.offline] = np.arange(len(parts.offline))
        events = in_order(ratings, self._known)
        self._near, self.tables = similar.describe(
            self._codes, events, self._is(parts.fit), self._size, settings.history
        )

    def fit(self, workers: parallel.Workers, progress: Progress) -> list[PLike]:
        """Models trained on fit."""
        settings, pairs = self._settings, self._pairs(self._is(self._parts.fit))
        schedule = p_like_training.Schedule(
            settings.history, settings.ranker_epochs, settings.ranker_batch, settings.ranker_rate
        )
        tasks = [
            p_like_training.Task(
                self._ratings.schema,
                self._ratings.users.size,
                self._size,
                pairs,
                np.arange(len(pairs.ids)),
                schedule,
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
        events, places = in_order(self._ratings, self._known), np.flatnonzero(self._is(self._parts.test))
        self.tables = similar.similar(self._codes, events, self._is(self._parts.train), self._size)
        self._near[places] = similar.near(self._codes, self.tables, events, places, self._settings.history)

    def figures(self, models: list[PLike], places: Ints) -> dict[str, float]:
        """AUC and log loss in nats of the models' mean, of events as they came; `places` in the ratings, INT64.

        Empty without events; without AUC where all or none are positive.
        """
        pairs, at = self._pairs(np.ones(len(self._known), dtype=bool)), np.flatnonzero(self._is(places))
        each = [p_like_training.logits(model, pairs, at, self._settings.history) for model in models]
        label, like = pairs.events.positive[at].astype(np.float64), 1.0 / (1.0 + np.exp(-np.mean(each, axis=0)))
        found = {"auc": auc(label, like), "logloss": logloss(label, like)} if len(at) else {}
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def _is(self, places: Ints) -> npt.NDArray[np.bool_]:
        return np.isin(self._known, places)

    def _pairs(self, chosen: npt.NDArray[np.bool_]) -> p_like_training.Pairs:
        """Some of the offline events; made anew for each use, for they are large."""
        of, ratings = self._known[chosen], self._ratings
        user = ratings.user[of]
        ids = pair_ids(user, self._attributes[user - 1], ratings.item[of])
        inputs = np.concatenate([self._dense[self._row[of]], self._near[chosen]], axis=1)
        return p_like_training.Pairs(in_order(ratings, of), ids, inputs)
