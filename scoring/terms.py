"""Terms: which values of the items' attributes a user prefers, and how well items match them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest

import numpy as np

from features import Schema
from features.weights import shares
from scoring.order import Scores

MOST_PREFERRED = 64
"""Values of an attribute that a user prefers at most: each is a clause of the search in Elasticsearch."""

LEAST_SHARE = 2.0**-40
"""The least share of the largest weight; scores are FP32, and those of even smaller ones would be lost in them."""

Preferences = dict[str, dict[int, float]]
"""By the name of each term attribute, such as `genres`: {code of a value: weight}, weights in [LEAST_SHARE, 1]."""


def preferences(schema: Schema, weights: Sequence[Mapping[int, int]]) -> Preferences:
    """The values that a user prefers: of each attribute those with a weight above 0, as shares of the largest.

    Of each, no more than the MOST_PREFERRED greatest, of at least LEAST_SHARE.

    Args:
        schema: of the data set.
        weights: of the user's profile, for each term attribute; empty where nothing is known of the user.
    """
    if not weights:
        return {term.name: {} for term in schema.terms}
    return {term.name: _preferred(of_term) for term, of_term in zip(schema.terms, weights, strict=True)}


def _preferred(weights: Mapping[int, int]) -> dict[int, float]:
    positive = [(-weight, value) for value, weight in weights.items() if weight > 0]
    greatest = shares({value: -weight for weight, value in nsmallest(MOST_PREFERRED, positive)})
    return {value: share for value, share in greatest.items() if share >= LEAST_SHARE}


def term_weights(schema: Schema, wanted: Sequence[Preferences]) -> Scores:
    """The preferences of B users as an array, FP64 [B, terms], in the order of `ItemTable.terms`."""
    weights = np.zeros((len(wanted), schema.n_terms))
    for row, of_user in zip(weights, wanted, strict=True):
        for term, start in zip(schema.terms, schema.term_starts, strict=True):
            for value, weight in of_user[term.name].items():
                row[start + value] = weight
    return weights


def term_scores(weights: Scores, terms: Scores, prior: Scores) -> Scores:
    """The term score of each item: the sum of the weights of its terms, times its prior.

    Args:
        weights: of the users' terms, FP64 [B, terms].
        terms: 1 where an item has a term, FP64 [terms, items].
        prior: weight of each item among those of the same terms, [items] or [B, items].

    Returns:
        [B, items], of the type of `prior`; 0 where no term matches.
    """
    matched: Scores = (weights @ terms).astype(prior.dtype, copy=False)
    return matched * prior
