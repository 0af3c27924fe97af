"""A trained encoder's answers, as `offline.train.lists` takes them."""

from __future__ import annotations

import torch

from offline.data.history import Floats
from offline.models.encoder import Ensemble
from offline.train.lists import Encode
from scoring import Users


def encode_with(model: Ensemble) -> Encode:
    """Users -> user vectors."""

    @torch.inference_mode()
    def encode(users: Users) -> Floats:
        vector: Floats = model(torch.from_numpy(users.items), torch.from_numpy(users.liked)).numpy()
        return vector

    return encode


def catalogue_vectors(encoder: Ensemble) -> Floats:
    """Item vectors by ascending id, FP32 [items, M * D + 1]."""
    vectors: Floats = encoder.item_vectors().numpy()[1:]
    return vectors
