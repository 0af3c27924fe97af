"""Term preferences: which genres and decades a user likes now, from the events that the profile keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from features.catalogue import Item
from features.event import LIKED
from features.profile import Recent

HALF_LIFE = 20.0
"""Events after which a rating weighs half."""


def preferences(recent: Sequence[Recent], item_of: Callable[[int], Item | None]) -> dict[str, dict[int, float]]:
    """Recency-weighted preferences.

    A like adds 2**(-age / HALF_LIFE) to each genre of its item (split evenly) and to its decade, a rating below takes
    half of that away; the age of the newest event is 0. Only what is above 0 is kept, divided by the largest.

    Args:
        recent: events, oldest first.
        item_of: the item of an id, None where it is not in the catalogue.

    Returns:
        {"genres": {genre: weight}, "decades": {decade: weight}}, weights in (0, 1].
    """
    genres: dict[int, float] = {}
    decades: dict[int, float] = {}
    weight = 1.0
    for _, itemid, rating in reversed(recent):
        item = item_of(itemid)
        if item is not None:
            signed = weight if rating >= LIKED else -weight / 2
            for genre in item.genres:
                genres[genre] = genres.get(genre, 0.0) + signed / len(item.genres)
            decades[item.decade] = decades.get(item.decade, 0.0) + signed
        weight *= 2.0 ** (-1.0 / HALF_LIFE)
    return {"genres": _normal(genres), "decades": _normal(decades)}


def _normal(weights: dict[int, float]) -> dict[int, float]:
    top = max(weights.values(), default=0.0)
    return {key: value / top for key, value in sorted(weights.items()) if value > 0}
