"""Scores of events as the live ranker gives them before they are learned from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from drift.events import NO_LIST, Scored, segments_of
from features.schema import Floats, Ints
from scoring import RankerInputs, Users
from stores import FeatureBatch, Sampled, Serving, StoreError
from stream.drift.counterfactual import state_before

log = logging.getLogger("reelstream.stream")

AT_ONCE = 8
"""Users that one request to Triton is about, so that requests of the API beside it wait for little."""

PAUSE_S = 5.0
"""Seconds that the ranker is left alone after it did not answer; the events meanwhile are not scored."""

Rank = Callable[[FeatureBatch, Sampled, Serving, Floats], int]
"""The rank of an event's item in the list that would have been served; takes the user vector FP32 [dim] too."""


class Scorer:
    """Scores the sampled events of batches.

    Args:
        rank: makes lists.
        clock: gives seconds.
    """

    def __init__(self, rank: Rank, clock: Callable[[], float] = time.monotonic) -> None:
        self._rank, self._clock = rank, clock
        self._again = 0.0

    def __call__(self, batch: FeatureBatch, serving: Serving) -> Scored:
        """The scores; of no event while the ranker or the catalogue is away."""
        schema, run = serving.table.schema, serving.run
        if not batch.sampled or self._clock() < self._again:
            return Scored.none(run.run)
        try:
            parts = [
                self._score(batch, batch.sampled[start : start + AT_ONCE], serving)
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
            [segments_of(schema, each.attributes, each.n) for each in batch.sampled],
        )

    def _score(self, batch: FeatureBatch, sampled: list[Sampled], serving: Serving) -> tuple[Floats, Ints]:
        schema, ids = serving.table.schema, serving.ids
        states = [state_before(schema, batch, each, ()) for each in sampled]
        users = Users.of(schema, ids, states, serving.run.history)
        vectors = serving.encode(users)
        places = [each.place for each in sampled]
        items = ids.items.numbers([batch.itemids[place] for place in places])
        pairs = users.pairs_of_rows(np.arange(len(users)), items, batch.rows[places])
        ranking = serving.rank(RankerInputs.of(vectors, users, pairs))
        ranks = [
            self._rank(batch, each, serving, vector) if each.user and each.recent else NO_LIST
            for each, vector in zip(sampled, vectors, strict=True)
        ]
        return np.column_stack([ranking.next, ranking.like, ranking.score]), np.array(ranks, dtype=np.int64)
