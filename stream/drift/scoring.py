"""Scores of events as the live ranker gives them before they are learned from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from drift.events import NO_LIST, Scored, segments_of
from features.schema import Floats, Ints
from scoring import RankerInputs, Users
from stores import FeatureBatch, LiveRun, Models, Sampled, StoreError
from stream.drift.counterfactual import state_before

log = logging.getLogger("reelstream.stream")

AT_ONCE = 8
"""Users that one request to Triton is about, so that requests of the API beside it wait for little."""

PAUSE_S = 5.0
"""Seconds that the ranker is left alone after it did not answer; the events meanwhile are not scored."""

Rank = Callable[[FeatureBatch, Sampled, LiveRun, Floats], int]
"""The rank of an event's item in the list that would have been served; takes the user vector FP32 [dim] too."""


class Scorer:
    """Scores the sampled events of batches.

    Args:
        models: Triton.
        rank: makes lists.
        clock: gives seconds.
    """

    def __init__(self, models: Models, rank: Rank, clock: Callable[[], float] = time.monotonic) -> None:
        self._models, self._rank, self._clock = models, rank, clock
        self._again = 0.0

    def __call__(self, batch: FeatureBatch, run: LiveRun) -> Scored:
        """The scores; of no event while the ranker or the catalogue is away."""
        if not batch.sampled or self._clock() < self._again:
            return Scored.none(run.run)
        try:
            parts = [
                self._score(batch, batch.sampled[start : start + AT_ONCE], run)
                for start in range(0, len(batch.sampled), AT_ONCE)
            ]
        except StoreError as error:
            log.warning("events are not scored for %.0f s: %s", PAUSE_S, error)
            self._again = self._clock() + PAUSE_S
            return Scored.none(run.run)
        return Scored(
            run.run,
            np.array([each.place for each in batch.sampled], dtype=np.int64),
            np.concatenate([values for values, _ in parts]),
            np.concatenate([ranks for _, ranks in parts]),
            [segments_of(each.gender, each.age, each.n) for each in batch.sampled],
        )

    def _score(self, batch: FeatureBatch, sampled: list[Sampled], run: LiveRun) -> tuple[Floats, Ints]:
        users = Users.of([state_before(batch, each, set()) for each in sampled], run.history)
        vectors = self._models.encode(users.items, users.liked, run.version)
        places = [each.place for each in sampled]
        pairs = users.pairs_of_rows(np.arange(len(users)), batch.itemid[places], batch.rows[places])
        ranking = self._models.rank(RankerInputs.of(vectors, users, pairs), run.version)
        ranks = [
            self._rank(batch, each, run, vector) if each.user and each.recent else NO_LIST
            for each, vector in zip(sampled, vectors, strict=True)
        ]
        return np.column_stack([ranking.next, ranking.like, ranking.score]), np.array(ranks, dtype=np.int64)
