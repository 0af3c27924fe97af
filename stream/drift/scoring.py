"""Scores of events as the live ranker gives them before they are learned from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from drift.events import MISSED, NO_LIST, Scored, segments_of
from features import encoder_input, rating_input
from features.schema import Floats, Ints
from stores import FeatureBatch, LiveRun, Models, Sampled, StoreError

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
        inputs = [encoder_input(each.recent, run.history) for each in sampled]
        items, liked = (np.concatenate(column) for column in zip(*inputs, strict=True))
        rating = np.concatenate([rating_input(each.recent, run.history) for each in sampled])
        places = [each.place for each in sampled]
        attributes = [(each.gender, each.age, each.occupation) for each in sampled]
        ids = np.column_stack([batch.userid[places], batch.itemid[places], np.array(attributes, dtype=np.int64)])
        vectors = self._models.encode(items, liked, run.version)
        row = np.arange(len(sampled), dtype=np.int64)
        ranking = self._models.rank(vectors, items, rating, ids, batch.rows[places], run.version, row)
        ranks = [
            self._rank(batch, each, run, vector) if each.user and each.recent else NO_LIST
            for each, vector in zip(sampled, vectors, strict=True)
        ]
        return np.column_stack([ranking.next, ranking.like, ranking.score]), np.array(ranks, dtype=np.int64)


def rank_of(itemid: int, itemids: Ints, scores: Floats) -> int:
    """Place of an item in a list by descending score, ties by itemid; MISSED where it is not in it."""
    order = itemids[np.lexsort((itemids, -scores))]
    found = np.flatnonzero(order == itemid)
    return int(found[0]) if len(found) else MISSED
