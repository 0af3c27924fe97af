"""P(like) of the ranker for events, each as of the moment before it."""

from __future__ import annotations

import numpy as np

from drift.classification_metrics import auc, ece, logloss
from features import Recent
from features.columns import ItemTable, user_columns
from offline.data.history import Floats, State
from offline.data.readers import Ints, Ratings
from offline.evaluate.lists import RunModels
from scoring import RankerInputs, Users
from scoring.inputs import attributes_of, histories
from scoring.run_ids import RunIds

CHUNK = 4096
"""Events given to the ranker at once."""


class PLikeCollector:
    """Collects P(like) of events; a visitor of `offline.data.history.replay`. Call `finish` after the replay.

    Args:
        ratings: the events.
        places: those to look at, INT64.
        models: the models of a run.
        ids: the ids that they know.
        dim: length of a user vector.
        history: events that the models see.
    """

    def __init__(self, ratings: Ratings, places: Ints, models: RunModels, ids: RunIds, dim: int, history: int) -> None:
        self.places = places
        self._ratings, self._models, self._ids, self._dim, self._history = ratings, models, ids, dim, history
        self._table = ItemTable(ratings.schema, ratings.catalogue.items)
        self._like = np.full(len(ratings), np.nan, dtype=np.float32)
        self._rows = np.empty((CHUNK, ratings.schema.width), dtype=np.int64)
        self._recent: list[list[Recent]] = []
        self._waiting: list[int] = []

    def visit(self, place: int, state: State) -> None:
        """Take the state before the event at `place`."""
        userid = self._ratings.userid(place)
        counter = state.counter(self._ratings.itemid(place))
        self._rows[len(self._waiting)] = [*state.user_values(userid), counter.n, counter.likes]
        self._recent.append(state.profile(userid).recent[-self._history :])
        self._waiting.append(place)
        if len(self._waiting) == CHUNK:
            self._flush()

    def finish(self) -> tuple[Floats, Floats]:
        """(label, P(like)) of the events, FP32 [places] each, in the order of `places`."""
        self._flush()
        return self._ratings.positive[self.places].astype(np.float32), self._like[self.places]

    def _flush(self) -> None:
        if not self._waiting:
            return
        places, rows = np.array(self._waiting, dtype=np.int64), self._rows[: len(self._waiting)]
        ratings, schema = self._ratings, self._ratings.schema
        userids = [ratings.userid(place) for place in self._waiting]
        # All that P(like) follows from but the user vector, of which it needs none.
        users = Users(
            schema,
            self._ids.users.numbers(userids),
            attributes_of(schema, ratings.catalogue, userids),
            *histories(self._ids.items, self._recent, self._history),
            user_columns(schema, rows),
        )
        column = ratings.item[places] - 1
        item = self._table.at(column, rows[:, -2], rows[:, -1])
        pairs = users.pairs(np.arange(len(users)), self._ids.columns(self._table)[column], item)
        none = np.zeros((len(users), self._dim), dtype=np.float32)
        self._like[places] = self._models.rank(RankerInputs.of(none, users, pairs)).like
        self._recent, self._waiting = [], []


def figures(label: Floats, like: Floats) -> dict[str, float]:
    """AUC, log loss in nats, and expected calibration error; no AUC where all events or none are positive."""
    found = {"auc": auc(label, like), "logloss": logloss(label, like), "ece": ece(label, like)}
    return {name: value for name, value in found.items() if not np.isnan(value)}
