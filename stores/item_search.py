"""The two parts of a search for candidates in Elasticsearch: the nearest vectors, and the preferred terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features import GENRES
from features.schema import Floats
from scoring import Preferences, Source
from scoring.candidates import TERM_BOOST
from settings import RecallSettings

VECTOR = "vector"
"""Field of the vectors."""

FLAT = 10_000
"""Up to so many vectors are compared one by one: here that takes less time than a walk of a graph that finds all."""


def nearest(vector: Floats, items: int, limits: RecallSettings, seen: Mapping[str, Any]) -> dict[str, Any]:
    """A search for the vectors nearest to a user's, of `items` in the index, without those that the user has seen."""
    return {
        "field": VECTOR,
        "query_vector": vector.tolist(),
        "k": limits.vector_k,
        "num_candidates": limits.vector_k if items <= FLAT else max(limits.num_candidates, limits.vector_k),
        "filter": seen,
    }


def by_terms(preferences: Preferences, seen: Mapping[str, Any]) -> dict[str, Any]:
    """The score of items by the preferred terms, times their prior; without those that the user has seen."""
    wanted: list[tuple[str, str | int, float]] = [
        *(("genres", GENRES[genre], weight) for genre, weight in preferences["genres"].items()),
        *(("decade", decade, weight) for decade, weight in preferences["decades"].items()),
    ]
    terms = [
        {"constant_score": {"filter": {"term": {field: value}}, "boost": weight}} for field, value, weight in wanted
    ]
    return {
        "query": {"bool": {"should": terms, "filter": seen, "minimum_should_match": 1}},
        "field_value_factor": {"field": "prior"},
        "boost_mode": "multiply",
        "boost": TERM_BOOST,
    }


def named(source: Source, sources: bool) -> dict[str, Any]:
    """The name of a part of a search, by which each item then tells its score in it; empty where it is not asked."""
    return {"_name": source} if sources else {}
