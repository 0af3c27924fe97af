"""Terms: which genres and decades a user likes now, and how well items match them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from features.catalogue import DECADES, GENRES, Item
from features.event import LIKED
from features.profile import Recent
from scoring.order import Scores

HALF_LIFE = 20.0
"""Events after which a rating weighs half."""

TERMS = len(GENRES) + DECADES
"""Terms in all: the genres, then the decades."""

Preferences = dict[str, dict[int, float]]
"""{"genres": {genre: weight}, "decades": {decade: weight}}, weights in (0, 1]."""


def preferences(recent: Sequence[Recent], item_of: Callable[[int], Item | None]) -> Preferences:
    """Recency-weighted preferences.

    A like adds 2**(-age / HALF_LIFE) to each genre of its item (split evenly) and to its decade, a rating below takes
    half of that away; the age of the newest event is 0. Only what is above 0 is kept, divided by the largest.

    Args:
        recent: events, oldest first.
        item_of: the item of an id, None where it is not in the catalogue.
    """
    genres: dict[int, float] = {}
    decades: dict[int, float] = {}
    weight, decay = 1.0, 2.0 ** (-1.0 / HALF_LIFE)
    for _, itemid, rating in reversed(recent):
        item = item_of(itemid)
        if item is not None:
            signed = weight if rating >= LIKED else -weight / 2
            for genre in item.genres:
                genres[genre] = genres.get(genre, 0.0) + signed / len(item.genres)
            decade = item.decade
            decades[decade] = decades.get(decade, 0.0) + signed
        weight *= decay
    return {"genres": _normal(genres), "decades": _normal(decades)}


def _normal(weights: dict[int, float]) -> dict[int, float]:
    top = max(weights.values(), default=0.0)
    return {key: value / top for key, value in sorted(weights.items()) if value > 0}


def term_weights(wanted: Sequence[Preferences]) -> Scores:
    """The preferences of B users as an array, FP64 [B, TERMS].

    >>> term_weights([{"genres": {0: 1.0}, "decades": {8: 0.5}}])[0, [0, len(GENRES) + 8]].tolist()
    [1.0, 0.5]
    """
    weights = np.zeros((len(wanted), TERMS))
    for row, each in zip(weights, wanted, strict=True):
        for first, terms in ((0, each["genres"]), (len(GENRES), each["decades"])):
            for term, weight in terms.items():
                row[first + term] = weight
    return weights


def term_scores(weights: Scores, terms: Scores, prior: Scores) -> Scores:
    """The term score of each item: the sum of the weights of its terms, times its prior.

    Args:
        weights: of the users' terms, FP64 [B, TERMS].
        terms: 1 where an item has a term, FP64 [TERMS, items].
        prior: weight of each item among those of the same terms, [items] or [B, items].

    Returns:
        [B, items], of the type of `prior`; 0 where no term matches.
    """
    matched: Scores = (weights @ terms).astype(prior.dtype, copy=False)
    return matched * prior
