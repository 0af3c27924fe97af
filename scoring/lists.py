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

from features import Schema
from features.columns import ItemTable
from features.schema import Floats, Ints
from scoring.candidates import Candidates, Limits, Source
from scoring.counters import Counters, RecentCounters
from scoring.explored import NOTHING, arranged, explored, with_explored
from scoring.fallback import completed, from_memory, popular, unranked
from scoring.inputs import Pairs, RankerInputs, Ranking, Users, UserState
from scoring.order import Lists, final_order
from scoring.run_ids import RunIds


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
        schema: of the data set.
        table: the catalogue.
        ids: the ids that the models know.
        history: events that the models see.
        limits: how many candidates come from which source.
        encode, rank: the models.
        recall: the source of candidates.
    """

    schema: Schema
    table: ItemTable
    ids: RunIds
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
        explore = explored(states, counters, self.table, size)
        if all(new):
            return self._popular(states, counters, size, explore)
        users = Users.of(self.schema, self.ids, states, self.history)
        vectors = self.encode(users)
        candidates = with_explored(self.candidates(states, vectors, counters, size), explore, counters)
        made = self.ranked(users, vectors, candidates, counters, size, states, explore)
        if any(new):
            lists = made.lists.replaced(np.array(new), self._popular(states, counters, size, explore).lists)
            return replace(made, lists=lists)
        return made

    def candidates(
        self,
        states: Sequence[UserState],
        user_vectors: Floats | None,
        counters: RecentCounters,
        size: int | None = None,
    ) -> Candidates:
        """The candidates of some users; from memory where recall finds none.

        Args:
            states: the users.
            user_vectors: FP32 [B, dim]; None where there are none.
            counters: of the items.
            size: longest list; where it is given, there are enough candidates for a full one, however it is restricted,
                if the catalogue has them.
        """
        recalled = self.recall(states, user_vectors)
        if recalled is None:
            recalled = self._from_memory(states, counters)
        elif (without := recalled.length == 0).any():
            recalled = recalled.replaced(without, self._from_memory(states, counters))
        return recalled if size is None else completed(recalled, states, counters, self.table, size)

    def _from_memory(self, states: Sequence[UserState], counters: RecentCounters) -> Candidates:
        """As many candidates as recall finds, a third of them by terms."""
        total = self.limits.vector_k + self.limits.term_k
        return from_memory(states, counters, self.table, total // 3, total - total // 3)

    def ranked(
        self,
        users: Users,
        user_vectors: Floats | None,
        candidates: Candidates,
        counters: Counters,
        size: int | None = None,
        states: Sequence[UserState] = (),
        explore: Ints = NOTHING,
    ) -> Recommendations:
        """The first `size` candidates in their final order: the ranker's, or recall's where there is no ranking.

        Args:
            users: the users.
            user_vectors: FP32 [B, dim]; None where there are none.
            candidates: of each user; they meet the conditions of its restriction.
            counters: of the items.
            size: longest list; None: all candidates.
            states: the users, where their lists are restricted or explore.
            explore: the items that are explored in each list, which are among the candidates; INT64 [B, K].
        """
        row, place = candidates.pairs()
        pairs = pairs_of(users, row, candidates.column[row, place], self.table, counters, self.ids)
        ranking = None
        if user_vectors is not None and len(pairs):
            ranking = self.rank(RankerInputs.of(user_vectors, users, pairs))
        if ranking is None:
            score = unranked(candidates)
        else:
            score = np.full(candidates.column.shape, -np.inf, dtype=ranking.score.dtype)
            score[row, place] = ranking.score
        order = final_order(candidates.column, score)
        ordered = Lists(candidates.column, score).take(order)
        lists, chosen = arranged(ordered, explore, states, self.table, size, order)
        order = np.take_along_axis(order, chosen, axis=1)
        return Recommendations(lists, order, candidates, pairs, ranking, user_vectors)

    def _popular(
        self, states: Sequence[UserState], counters: RecentCounters, size: int, explore: Ints
    ) -> Recommendations:
        exclude, restrictions = [state.exclude for state in states], [state.restriction for state in states]
        lists = popular(exclude, counters.popularity, self.table, size + explore.shape[1], restrictions)
        if explore.shape[1]:
            lists, _ = arranged(lists, explore, states, self.table, size)
        place = np.broadcast_to(np.arange(lists.column.shape[1]), lists.column.shape)
        return Recommendations(lists, place, Candidates(lists.column, {Source.POPULAR: lists.score}))


def pairs_of(users: Users, row: Ints, column: Ints, table: ItemTable, counters: Counters, ids: RunIds) -> Pairs:
    """Pairs of the users at some rows with the items at some columns, INT64 [N] each."""
    return users.pairs(row, ids.columns(table)[column], table.at(column, *counters.at(row, column)))
