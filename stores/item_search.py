"""The parts of a search for candidates in Elasticsearch: the nearest vectors, the preferred terms, and their filter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from features.ids import Id
from features.schema import Floats, Schema
from scoring import Preferences, Source
from scoring.candidates import TERM_BOOST
from scoring.restriction import AllOf, AnyOf, Between, Condition
from settings import RecallSettings
from stores.item_documents import UNIT, VECTOR, number_field, unit_query

LEAST_VISITED = 1.5
"""Vectors that a walk of a graph visits at least, for each that it is to find. One that visited no more than it was to
find missed half of the nearest."""


def permitted(schema: Schema, exclude: Collection[Id], conditions: Sequence[Condition]) -> dict[str, Any]:
    """The filter of the items that may come back.

    It belongs inside both parts of a search, so that each finds as many items as are asked of it.

    Args:
        schema: of the data set.
        exclude: items that must not come back.
        conditions: all of which an item must meet.
    """
    query: dict[str, Any] = {"must_not": {"terms": {"itemid": list(exclude)}}}
    if filters := [each for condition in conditions for each in _filters(schema, condition)]:
        query["filter"] = filters
    return {"bool": query}


def _filters(schema: Schema, condition: Condition) -> list[dict[str, Any]]:
    if isinstance(condition, AnyOf):
        return [{"terms": {condition.attribute: list(condition.values)}}]
    if isinstance(condition, AllOf):
        return [{"term": {condition.attribute: value}} for value in condition.values]
    assert isinstance(condition, Between)
    attribute = next(each for each in schema.item_attributes if each.name == condition.attribute)
    bounds = {"gte": condition.low, "lte": condition.high}
    return [{"range": {number_field(attribute): {name: bound for name, bound in bounds.items() if bound is not None}}}]


def nearest(
    vector: Floats,
    longest: float | None,
    limits: RecallSettings,
    permitted: Mapping[str, Any],
    visited: int | None = None,
) -> dict[str, Any]:
    """A search for the vectors nearest to a user's, among those that may come back.

    Args:
        vector: the user's, FP32 [dim].
        longest: length of the longest vector of an index with a graph; None where vectors are compared one by one.
        limits: how many to find, and how many a walk of the graph visits.
        permitted: the filter.
        visited: most vectors that a search visits; None for as many as it needs.
    """
    graph = longest is not None
    if visited is None:
        visited = max(limits.num_candidates, int(LEAST_VISITED * limits.vector_k)) if graph else limits.vector_k
    return {
        "field": UNIT if graph else VECTOR,
        "query_vector": (unit_query(vector) if graph else vector).tolist(),
        "k": limits.vector_k,
        "num_candidates": visited,
        "filter": permitted,
    }


def inner_product_score(score: float, vector: Floats, longest: float) -> float:
    """The score that `max_inner_product` gives for what a graph found at a score.

    >>> inner_product_score(0.75, np.array([3.0, 4.0]), longest=2.0)
    6.0
    >>> inner_product_score(0.25, np.array([3.0, 4.0]), longest=2.0)
    0.16666666666666666
    """
    product = (2.0 * score - 1.0) * float(np.linalg.norm(vector)) * longest
    return product + 1.0 if product >= 0 else 1.0 / (1.0 - product)


def direction(vector: Floats) -> Floats:
    """The direction of vectors in which items are alike, FP32 [..., dim]: without the bias, which stands last."""
    embedding = np.array(vector, dtype=np.float32)
    embedding[..., -1] = 0.0
    length = np.linalg.norm(embedding, axis=-1, keepdims=True)
    found: Floats = (embedding / np.maximum(length, np.finfo(np.float32).tiny)).astype(np.float32)
    return found


def by_terms(schema: Schema, preferences: Preferences, permitted: Mapping[str, Any]) -> dict[str, Any]:
    """The score of items by the preferred terms, times their prior, among those that may come back."""
    terms = [
        {"constant_score": {"filter": {"term": {term.name: term.values[code]}}, "boost": weight}}
        for term in schema.terms
        for code, weight in preferences.get(term.name, {}).items()
    ]
    return {
        "query": {"bool": {"should": terms, "filter": permitted, "minimum_should_match": 1}},
        "field_value_factor": {"field": "prior"},
        "boost_mode": "multiply",
        "boost": TERM_BOOST,
    }


def named(source: Source, sources: bool) -> dict[str, Any]:
    """The name of a part of a search, by which each item then tells its score in it; empty where it is not asked."""
    return {"_name": source} if sources else {}
