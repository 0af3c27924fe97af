"""Candidate lists for training and for drift's reference, made from states as they were before events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features.columns import ItemTable
from offline.data.history import Floats
from offline.data.point_in_time import PriorStates
from offline.data.readers import Ints
from scoring import NO_ITEM, RankerInputs, Users
from scoring.candidates import excluded, inner_products
from scoring.lists import pairs_of
from scoring.order import top
from scoring.run_ids import RunIds

Encode = Callable[[Users], Floats]
"""The user encoder: users -> user vectors."""

CANDIDATES = 200


@dataclass(frozen=True)
class EncoderRecall:
    """Recall by the encoder alone.

    Attributes:
        table: the catalogue.
        vectors: item vectors by ascending id, FP32 [items, D + 1].
        encode: the user encoder.
        history: events that it sees.
        ids: those of the run.
    """

    table: ItemTable
    vectors: Floats
    encode: Encode
    history: int
    ids: RunIds

    def users(self, states: PriorStates) -> Users:
        """The encoder's inputs for some states."""
        return Users.of(self.table.schema, self.ids, states.users, self.history)


@dataclass(frozen=True)
class CandidateLists:
    """Candidates for B states, K each, in ascending order of their ids.

    Attributes:
        inputs: the ranker's inputs for B * K pairs.
        wanted: place among the candidates of the item that came next, NO_ITEM where it is none of them; INT64 [B].
    """

    inputs: RankerInputs
    wanted: Ints

    @classmethod
    def of(cls, states: PriorStates, following: Ints, recall: EncoderRecall) -> CandidateLists:
        """The best candidates of recall; `following` is the column of the item that came next, INT64 [B]."""
        users = recall.users(states)
        vectors = recall.encode(users)
        seen = excluded([user.exclude for user in states.users], recall.table)
        column = top(inner_products(vectors, recall.vectors, seen), CANDIDATES)
        hit = column == following[:, None]
        wanted = np.where(hit.any(axis=1), hit.argmax(axis=1), NO_ITEM)
        return cls(_inputs(users, vectors, column, states, recall), wanted)

    @classmethod
    def of_events(cls, states: PriorStates, following: Ints, recall: EncoderRecall) -> CandidateLists:
        """Lists of one candidate: the item that came next, by its column, INT64 [B]."""
        users = recall.users(states)
        inputs = _inputs(users, recall.encode(users), following[:, None], states, recall)
        return cls(inputs, np.zeros(len(states), dtype=np.int64))

    @property
    def shape(self) -> tuple[int, int]:
        """(B, K)."""
        return len(self.wanted), len(self.inputs.row) // len(self.wanted)


def _inputs(users: Users, vectors: Floats, column: Ints, states: PriorStates, recall: EncoderRecall) -> RankerInputs:
    row = np.repeat(np.arange(len(column)), column.shape[1])
    pairs = pairs_of(users, row, column.reshape(-1), recall.table, states.counters, recall.ids)
    return RankerInputs.of(vectors, users, pairs)
