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
from stores.item_documents import FLAT, VECTOR, number_field


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


def nearest(vector: Floats, items: int, limits: RecallSettings, permitted: Mapping[str, Any]) -> dict[str, Any]:
    """A search for the vectors nearest to a user's, of `items` in the index, among those that may come back.

    Items come and go after an index was made: one of just over FLAT items has a graph, though it may hold fewer by now.
    """
    exact = items <= FLAT // 2
    return {
        "field": VECTOR,
        "query_vector": vector.tolist(),
        "k": limits.vector_k,
        "num_candidates": limits.vector_k if exact else max(limits.num_candidates, limits.vector_k),
        "filter": permitted,
    }


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
