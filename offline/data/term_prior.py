"""Weights of items among those of the same terms."""

from __future__ import annotations

import numpy as np

from features.ids import Id
from offline.data.readers import Ints, Ratings


def term_prior(ratings: Ratings, places: Ints) -> dict[Id, float]:
    """Weight of each item among those of the same terms, 0.1 to 1.1, by the positive events at `places`."""
    likes = np.bincount(ratings.item[places][ratings.positive[places]], minlength=ratings.items.size)
    scale = np.log1p(likes.max(initial=1))
    weights = (0.1 + np.log1p(likes) / scale).tolist()
    return {itemid: weights[ratings.items.number(itemid)] for itemid in ratings.catalogue.items}
