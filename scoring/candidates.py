"""Recall: which items of the catalogue a list is made from, by vector and by terms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np

from features import Id
from features.columns import ItemTable
from features.schema import Floats, Ints
from scoring.inputs import UserState
from scoring.order import NO_ITEM, Bools, Lists, Scores, padded, top, with_rows
from scoring.restriction import Restriction
from scoring.terms import preferences, term_scores, term_weights

TERM_BOOST = 0.01
"""Keeps the score of terms under that of the nearest vectors, so that terms fill the places that vectors leave."""


class Source(StrEnum):
    """The source of a candidate."""

    VECTOR = "vector"
    TERMS = "terms"
    POPULAR = "popular"
    EXPLORATION = "exploration"


class Limits(Protocol):
    """The number of candidates from each source."""

    @property
    def vector_k(self) -> int:
        """From the nearest vectors."""

    @property
    def term_k(self) -> int:
        """From the terms, beyond those."""


class Candidate(NamedTuple):
    """A recalled item and, where it was asked for, the score that each source gave it."""

    itemid: Id
    sources: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Recalled items of B users, best first in recall's own order.

    Attributes:
        column: columns of the table, NO_ITEM behind the last; INT64 [B, K].
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
        column, known = table.find([candidate.itemid for candidate in recalled])
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


def joined(parts: Sequence[Candidates]) -> Candidates:
    """The candidates of several sources, one after the other."""
    columns = np.concatenate([part.column for part in parts], axis=1)
    together = np.argsort(columns == NO_ITEM, axis=1, kind="stable")
    sources = {}
    for name in dict.fromkeys(chain.from_iterable(part.sources for part in parts)):
        scores = [part.sources.get(name, np.full(part.column.shape, np.nan)) for part in parts]
        sources[name] = np.take_along_axis(np.concatenate(scores, axis=1), together, axis=1)
    return Candidates(np.take_along_axis(columns, together, axis=1), sources)


def excluded(exclude: Sequence[Collection[Id]], table: ItemTable) -> tuple[Ints, Ints]:
    """(row, column) of what B users must not get, INT64 [M] each; ids that are not in the catalogue are left out."""
    row = np.repeat(np.arange(len(exclude)), [len(each) for each in exclude])
    column, known = table.find(list(chain.from_iterable(exclude)))
    return row[known], column[known]


def barred(
    exclude: Sequence[Collection[Id]], restrictions: Sequence[Restriction], table: ItemTable
) -> tuple[Ints, Ints]:
    """(row, column) of what B users must not get, or what does not meet the conditions of each; INT64 [M] each."""
    row, column = excluded(exclude, table)
    rows, columns = [row], [column]
    for number, restriction in enumerate(restrictions):
        if restriction.conditions:
            others = np.flatnonzero(~restriction.mask(table))
            rows.append(np.full(len(others), number))
            columns.append(others)
    return np.concatenate(rows), np.concatenate(columns)


def barred_of(states: Sequence[UserState], table: ItemTable) -> tuple[Ints, Ints]:
    """The same of the states of B users."""
    return barred([state.exclude for state in states], [state.restriction for state in states], table)


def inner_products(user_vectors: Floats, item_vectors: Floats, seen: tuple[Ints, Ints]) -> Floats:
    """The encoder's score of each item for each user, FP32 [B, items]; -inf for what is excluded.

    Args:
        user_vectors: FP32 [B, dim].
        item_vectors: in the order of the table, FP32 [items, dim].
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
        item_vectors: in the order of the table, FP32 [items, dim].
        prior: weight of each item among those of the same terms, FP32 [items].
        limits: how many candidates come from which source.
    """

    table: ItemTable
    item_vectors: Floats
    prior: Floats
    limits: Limits

    def __call__(self, states: Sequence[UserState], user_vectors: Floats | None) -> Candidates:
        """The candidates of some users."""
        seen = barred_of(states, self.table)
        products = None if user_vectors is None else inner_products(user_vectors, self.item_vectors, seen)
        if products is not None and not self.limits.term_k:
            return merged(products, np.zeros_like(products), self.limits)
        return merged(products, self._terms(states, seen), self.limits)

    def scores(self, states: Sequence[UserState], user_vectors: Floats) -> tuple[Floats, Floats]:
        """(inner products, term scores) as `merged` takes them."""
        seen = barred_of(states, self.table)
        return inner_products(user_vectors, self.item_vectors, seen), self._terms(states, seen)

    def _terms(self, states: Sequence[UserState], seen: tuple[Ints, Ints]) -> Floats:
        weights = weights_of(states, self.table)
        scores: Floats = term_scores(weights * TERM_BOOST, self.table.terms, self.prior)
        scores[seen] = 0.0
        return scores


def weights_of(states: Sequence[UserState], table: ItemTable) -> Scores:
    """The weights of the terms that B users prefer, FP64 [B, terms]."""
    return term_weights(table.schema, [preferences(table.schema, state.weights) for state in states])
