"""A trained encoder's answers, as `offline.train.lists` takes them."""

from __future__ import annotations

import torch

from offline.data.history import Floats
from offline.data.readers import Ints, Ratings
from offline.models.encoder import Ensemble
from offline.train import lists


def encode_with(model: Ensemble) -> lists.Encode:
    """(items, liked) -> user vectors."""

    @torch.inference_mode()
    def encode(items: Ints, liked: Ints) -> Floats:
        vector: Floats = model(torch.from_numpy(items), torch.from_numpy(liked)).numpy()
        return vector

    return encode


def catalogue_vectors(encoder: Ensemble, ratings: Ratings) -> Floats:
    """Item vectors by ascending itemid, FP32 [items, M * D + 1]."""
    vectors: Floats = encoder.item_vectors().numpy()[sorted(ratings.catalogue.items)]
    return vectors
