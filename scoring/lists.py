"""From the state of users to their lists.

    states -> users -> encoder -> recall -> ranker inputs -> ranker -> final order

The callers bring the models and recall: the API asks Triton and Elasticsearch through circuit breakers, the stream asks
them about the moment before an event, evaluation runs the models with onnxruntime and recalls exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from features.columns import ItemTable
from features.schema import Floats, Ints
from scoring.candidates import Candidates, Limits, Source
from scoring.counters import Counters, RecentCounters
from scoring.fallback import from_memory, popular, unranked
from scoring.inputs import Pairs, RankerInputs, Ranking, Users, UserState
from scoring.order import Lists, final_order


class Encode(Protocol):
    """The user encoder."""

    def __call__(self, users: Users) -> Floats | None:
        """User vectors, FP32 [B, dim]; None where it does not answer."""


class Recall(Protocol):
    """Recall by vector and terms."""

    def __call__(self, states: Sequence[UserState], user_vectors: Floats | None) -> Candidates | None:
        """The candidates of some users; None where it does not answer."""


class Rank(Protocol):
    """The ranker."""

    def __call__(self, inputs: RankerInputs) -> Ranking | None:
        """Its outputs; None where it does not answer."""


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The lists of B users, and what they were made from.

    Attributes:
        lists: the lists.
        place: of each entry among the candidates, INT64 [B, K].
        candidates: what was recalled.
        pairs: of each user with each candidate, in this order; None for popular items, which are not ranked.
        ranking: of the pairs; None where they were not ranked.
        user_vectors: FP32 [B, dim]; None for popular items, and where the encoder does not answer.
    """

    lists: Lists
    place: Ints
    candidates: Candidates
    pairs: Pairs | None = None
    ranking: Ranking | None = None
    user_vectors: Floats | None = None


@dataclass(frozen=True)
class Lister:
    """The path from states to lists.

    Attributes:
        table: the catalogue.
        history: events that the models see.
        limits: how many candidates come from which source.
        encode, rank: the models.
        recall: the source of candidates.
    """

    table: ItemTable
    history: int
    limits: Limits
    encode: Encode
    recall: Recall
    rank: Rank

    def recommend(self, states: Sequence[UserState], counters: RecentCounters, size: int) -> Recommendations:
        """Make the lists of some users.

        Args:
            states: the users, each as of one moment.
            counters: of the items, [items] or [B, items].
            size: longest list.
        """
        new = [not state.recent for state in states]
        if all(new):
            return self._popular(states, counters, size)
        users = Users.of(states, self.history)
        vectors = self.encode(users)
        made = self.ranked(users, vectors, self.candidates(states, vectors, counters), counters, size)
        if any(new):
            lists = made.lists.replaced(np.array(new), self._popular(states, counters, size).lists)
            return replace(made, lists=lists)
        return made

    def candidates(
        self, states: Sequence[UserState], user_vectors: Floats | None, counters: RecentCounters
    ) -> Candidates:
        """The candidates of some users; from memory where recall finds none."""
        recalled = self.recall(states, user_vectors)
        if recalled is None:
            return from_memory(states, counters, self.table, self.limits)
        without = recalled.length == 0
        if without.any():
            return recalled.replaced(without, from_memory(states, counters, self.table, self.limits))
        return recalled

    def ranked(
        self,
        users: Users,
        user_vectors: Floats | None,
        candidates: Candidates,
        counters: Counters,
        size: int | None = None,
    ) -> Recommendations:
        """The first `size` candidates in their final order: the ranker's, or recall's where there is no ranking."""
        row, place = candidates.pairs()
        pairs = pairs_of(users, row, candidates.column[row, place], self.table, counters)
        ranking = None
        if user_vectors is not None and len(pairs):
            ranking = self.rank(RankerInputs.of(user_vectors, users, pairs))
        if ranking is None:
            score = unranked(candidates)
        else:
            score = np.full(candidates.column.shape, -np.inf, dtype=ranking.score.dtype)
            score[row, place] = ranking.score
        order = final_order(candidates.column, score)[:, :size]
        lists = Lists(candidates.column, score).take(order)
        return Recommendations(lists, order, candidates, pairs, ranking, user_vectors)

    def _popular(self, states: Sequence[UserState], counters: RecentCounters, size: int) -> Recommendations:
        lists = popular([state.exclude for state in states], counters.popularity, self.table, size)
        place = np.broadcast_to(np.arange(lists.column.shape[1]), lists.column.shape)
        return Recommendations(lists, place, Candidates(lists.column, {Source.POPULAR: lists.score}))


def pairs_of(users: Users, row: Ints, column: Ints, table: ItemTable, counters: Counters) -> Pairs:
    """Pairs of the users at some rows with the items at some columns, INT64 [N] each."""
    return users.pairs(row, table.itemids[column], table.at(column, *counters.at(row, column)))
