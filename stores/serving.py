"""The models and the index of a run, as `scoring.Lister` calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.columns import ItemTable
from features.schema import Floats
from scoring import Candidates, Lister, RankerInputs, Ranking, Users, UserState, preferences
from scoring.run_ids import RunIds
from settings import RecallSettings
from stores.redis.live import LiveRun
from stores.triton import Models

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex  # it takes a second to load


@dataclass(frozen=True, slots=True)
class Serving:
    """A run on Triton and in Elasticsearch. Every method raises Unreachable if the server does not answer.

    Attributes:
        run: the run.
        ids: the ids that its models know.
        models: Triton.
        index: Elasticsearch.
        table: the catalogue.
        limits: how many candidates come from which source.
        sources: whether candidates come with the score that each source gave them, which takes longer.
    """

    run: LiveRun
    ids: RunIds
    models: Models
    index: ItemIndex
    table: ItemTable
    limits: RecallSettings
    sources: bool = False

    def encode(self, users: Users) -> Floats:
        """User vectors, FP32 [B, dim]."""
        return self.models.encode(users.items, users.liked, self.run.version)

    def recall(self, states: Sequence[UserState], user_vectors: Floats | None) -> Candidates:
        """The candidates of each user, in one request for each."""
        schema = self.table.schema
        by_terms = user_vectors is None or self.limits.term_k > 0
        recalled = [
            self.index.recall(
                self.run.index,
                schema,
                None if user_vectors is None else user_vectors[row],
                preferences(schema, state.weights) if by_terms else {},
                state.exclude,
                self.limits,
                conditions=state.restriction.conditions,
                sources=self.sources,
            )
            for row, state in enumerate(states)
        ]
        return Candidates.of(recalled, self.table)

    def rank(self, inputs: RankerInputs) -> Ranking:
        """The ranker's outputs."""
        return self.models.rank(inputs, self.run.version)

    def lister(self) -> Lister:
        """The path to lists, without a fallback for a server that does not answer."""
        schema, history = self.table.schema, self.run.history
        return Lister(schema, self.table, self.ids, history, self.limits, self.encode, self.recall, self.rank)
