"""Recall: which items of the catalogue a list is made from, by vector and by terms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Protocol

import numpy as np

from features.columns import ItemTable
from features.schema import Floats, Ints
from scoring.inputs import UserState
from scoring.order import NO_ITEM, Bools, Lists, Scores, padded, top, with_rows
from scoring.terms import preferences, term_scores, term_weights

TERM_BOOST = 0.01
"""Keeps the score of terms under that of the nearest vectors, so that terms fill the places that vectors leave."""


class Source(StrEnum):
    """The source of a candidate."""

    VECTOR = "vector"
    TERMS = "terms"
    POPULAR = "popular"


class Limits(Protocol):
    """The number of candidates from each source."""

    @property
    def vector_k(self) -> int:
        """From the nearest vectors."""

    @property
    def term_k(self) -> int:
        """From the terms, beyond those."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recalled item and, where it was asked for, the score that each source gave it."""

    itemid: int
    sources: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Recalled items of B users, best first in recall's own order.

    Attributes:
        column: places in the ascending itemids, NO_ITEM behind the last; INT64 [B, K].
        sources: the score that each source gave them, NaN where it gave none, [B, K] each; empty where not asked for.
    """

    column: Ints
    sources: Mapping[str, Scores] = field(default_factory=dict)

    @classmethod
    def of(cls, recalled: Sequence[Sequence[Candidate]], table: ItemTable) -> Candidates:
        """The candidates of B users, without items that are not in the catalogue."""
        users = [cls._of(each, table) for each in recalled]
        if len(users) == 1:
            return users[0]
        width = max(user.column.shape[1] for user in users)
        names = dict.fromkeys(chain.from_iterable(user.sources for user in users))
        nothing = np.empty((1, 0))
        return cls(
            np.concatenate([padded(user.column, width, NO_ITEM) for user in users]),
            {
                name: np.concatenate([padded(user.sources.get(name, nothing), width, np.nan) for user in users])
                for name in names
            },
        )

    @classmethod
    def _of(cls, recalled: Sequence[Candidate], table: ItemTable) -> Candidates:
        column, known = table.find(np.array([candidate.itemid for candidate in recalled], dtype=np.int64))
        if not recalled or not recalled[0].sources:  # all of them have sources, or none has
            return cls(column[None] if known.all() else column[None, known])
        names = dict.fromkeys(chain.from_iterable(candidate.sources for candidate in recalled))
        scores = {name: np.array([candidate.sources.get(name, np.nan) for candidate in recalled]) for name in names}
        return cls(column[None, known], {name: score[None, known] for name, score in scores.items()})

    def __len__(self) -> int:
        return len(self.column)

    @property
    def length(self) -> Ints:
        """The number of candidates of each user, INT64 [B]."""
        length: Ints = (self.column != NO_ITEM).sum(axis=1)
        return length

    def pairs(self) -> tuple[Ints, Ints]:
        """(row, place) of each, by row; INT64 [N] each."""
        row, place = np.nonzero(self.column != NO_ITEM)
        return row, place

    def replaced(self, rows: Bools, other: Candidates) -> Candidates:
        """The candidates with those of some rows, bool [B], replaced by those of another set of B users."""
        nothing = np.empty((len(self), 0))
        names = dict.fromkeys(chain(self.sources, other.sources))
        sources = {
            name: with_rows(self.sources.get(name, nothing), rows, other.sources.get(name, nothing), np.nan)
            for name in names
        }
        return Candidates(with_rows(self.column, rows, other.column, NO_ITEM), sources)


def excluded(exclude: Sequence[Collection[int]], table: ItemTable) -> tuple[Ints, Ints]:
    """(row, column) of what B users must not get, INT64 [M] each; ids that are not in the catalogue are left out."""
    counts = [len(each) for each in exclude]
    itemid = np.fromiter(chain.from_iterable(exclude), dtype=np.int64, count=sum(counts))
    row, (column, known) = np.repeat(np.arange(len(exclude)), counts), table.find(itemid)
    return row[known], column[known]


def inner_products(user_vectors: Floats, item_vectors: Floats, seen: tuple[Ints, Ints]) -> Floats:
    """The encoder's score of each item for each user, FP32 [B, items]; -inf for what is excluded.

    Args:
        user_vectors: FP32 [B, dim].
        item_vectors: by ascending itemid, FP32 [items, dim].
        seen: (row, column) of what is excluded.
    """
    score = user_vectors @ item_vectors.T
    score[seen] = -np.inf
    return score


def merged(products: Floats | None, terms: Floats, limits: Limits) -> Candidates:
    """The candidates of both sources, as Elasticsearch merges them in one request.

    It orders by the sum of two scores, that of the vector for the nearest alone. Its score of an inner product p is
    p + 1, or 1 / (1 - p) where p is below 0 (`max_inner_product` in its reference of dense vectors).

    Args:
        products: inner products, FP32 [B, items], -inf for what is excluded; None where there are no user vectors, so
            that all candidates come from the terms.
        terms: term scores, FP32 [B, items], 0 for what is excluded.
        limits: how many of each.
    """
    total = terms
    if products is not None:
        near = top(products, limits.vector_k)
        product = np.take_along_axis(products, near, axis=1)
        score = np.where(product < 0, 1.0 / (1.0 - np.minimum(product, 0.0)), product + 1.0).astype(np.float32)
        total = terms.copy() if limits.term_k else np.zeros_like(terms)
        np.put_along_axis(total, near, np.take_along_axis(total, near, axis=1) + score, axis=1)
    return Candidates(Lists.best(total, limits.vector_k + limits.term_k, above=0.0).column)


@dataclass(frozen=True)
class ExactRecall:
    """Recall over the whole catalogue in memory: the candidates that Elasticsearch finds.

    Attributes:
        table: the catalogue.
        item_vectors: by ascending itemid, FP32 [items, dim].
        prior: weight of each item among those of the same terms, FP32 [items].
        limits: how many candidates come from which source.
    """

    table: ItemTable
    item_vectors: Floats
    prior: Floats
    limits: Limits

    def __call__(self, states: Sequence[UserState], user_vectors: Floats | None) -> Candidates:
        """The candidates of some users."""
        seen = self._seen(states)
        products = None if user_vectors is None else inner_products(user_vectors, self.item_vectors, seen)
        return merged(products, self._terms(states, seen), self.limits)

    def scores(self, states: Sequence[UserState], user_vectors: Floats) -> tuple[Floats, Floats]:
        """(inner products, term scores) as `merged` takes them."""
        seen = self._seen(states)
        return inner_products(user_vectors, self.item_vectors, seen), self._terms(states, seen)

    def _seen(self, states: Sequence[UserState]) -> tuple[Ints, Ints]:
        return excluded([state.exclude for state in states], self.table)

    def _terms(self, states: Sequence[UserState], seen: tuple[Ints, Ints]) -> Floats:
        weights = term_weights([preferences(state.recent, self.table.items.get) for state in states])
        scores: Floats = term_scores(weights * TERM_BOOST, self.table.terms, self.prior)
        scores[seen] = 0.0
        return scores
