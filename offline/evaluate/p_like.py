"""P(like) of the ranker for events, each as of the moment before it."""

from __future__ import annotations

import numpy as np

from drift.classification_metrics import auc, ece, logloss
from features import LIKED, Recent
from features.columns import WIDTH, ItemTable, user_columns
from offline.data.history import Floats, State
from offline.data.readers import Ints, Ratings
from offline.evaluate.lists import RunModels
from scoring import RankerInputs, Users
from scoring.inputs import attributes_of, histories

CHUNK = 4096
"""Events given to the ranker at once."""


class PLikeCollector:
    """Collects P(like) of events; a visitor of `offline.data.history.replay`. Call `finish` after the replay.

    Args:
        ratings: the events.
        places: those to look at, INT64.
        models: the models of a run.
        dim: length of a user vector.
        history: events that the models see.
    """

    def __init__(self, ratings: Ratings, places: Ints, models: RunModels, dim: int, history: int) -> None:
        self.places = places
        self._ratings, self._models, self._dim, self._history = ratings, models, dim, history
        self._table = ItemTable(ratings.catalogue.items)
        self._like = np.full(len(ratings), np.nan, dtype=np.float32)
        self._rows = np.empty((CHUNK, WIDTH), dtype=np.int64)
        self._recent: list[list[Recent]] = []
        self._waiting: list[int] = []

    def visit(self, place: int, state: State) -> None:
        """Take the state before the event at `place`."""
        userid = int(self._ratings.userid[place])
        counter = state.counter(int(self._ratings.itemid[place]))
        self._rows[len(self._waiting)] = [*state.user_values(userid), counter.n, counter.likes]
        self._recent.append(state.profile(userid).recent[-self._history :])
        self._waiting.append(place)
        if len(self._waiting) == CHUNK:
            self._flush()

    def finish(self) -> tuple[Floats, Floats]:
        """(label, P(like)) of the events, FP32 [places] each, in the order of `places`."""
        self._flush()
        return (self._ratings.rating[self.places] >= LIKED).astype(np.float32), self._like[self.places]

    def _flush(self) -> None:
        if not self._waiting:
            return
        places, rows = np.array(self._waiting, dtype=np.int64), self._rows[: len(self._waiting)]
        userid, itemid = self._ratings.userid[places], self._ratings.itemid[places]
        # All that P(like) follows from but the user vector, of which it needs none.
        users = Users(
            userid,
            attributes_of(self._ratings.catalogue, userid),
            *histories(self._recent, self._history),
            user_columns(rows),
        )
        pairs = users.pairs(np.arange(len(users)), itemid, self._table.columns(itemid, rows[:, -2], rows[:, -1]))
        none = np.zeros((len(users), self._dim), dtype=np.float32)
        self._like[places] = self._models.rank(RankerInputs.of(none, users, pairs)).like
        self._recent, self._waiting = [], []


def figures(label: Floats, like: Floats) -> dict[str, float]:
    """AUC, log loss in nats, and expected calibration error."""
    return {
        "auc": auc(label, like),
        "logloss": logloss(label, like),
        "ece": ece(label, like),
    }
