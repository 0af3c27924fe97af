"""Item-item scores: how often one item follows another, and EASE (Steck, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from features.dataset.codes import Codes
from offline.data.history import Floats
from offline.data.readers import Ints
from offline.data.windows import Sequences
from offline.models.targets import weights

LAGS = 20
"""Events after an event that count as following it, the k-th with a weight of 1 / sqrt(k)."""

RIDGE = 300.0
"""Regularisation of EASE."""


@dataclass(frozen=True)
class Neighbours:
    """Tables over the items, by their numbers less 1.

    Attributes:
        follows: weight of discoveries of the second item soon after an event with the first, FP32 [items, items].
        ease: weights of EASE, from an item that the user has come to, to the item scored; FP32 [items, items].
    """

    follows: Floats
    ease: Floats


def neighbours(codes: Codes, events: Sequences, items: int) -> Neighbours:
    """Count and solve on some events, of so many items."""
    item, weight = events.item - 1, weights(codes, events)
    user = events.user_of_event()
    follows = np.zeros(items * items, dtype=np.float32)
    for lag in range(1, LAGS + 1):
        taken = (user[lag:] == user[:-lag]) & events.target[lag:]
        pairs, place = np.unique(item[:-lag][taken] * items + item[lag:][taken], return_inverse=True)
        times = np.bincount(place, weight[lag:][taken], minlength=len(pairs))
        follows[pairs] += times.astype(np.float32) / np.float32(lag**0.5)
    return Neighbours(follows.reshape(items, items), _ease(user, item, len(events.user), items))


def _ease(user: Ints, item: Ints, users: int, items: int) -> Floats:
    known = torch.zeros(users, items)
    known[torch.from_numpy(user), torch.from_numpy(item)] = 1.0
    gram = known.T @ known
    gram.diagonal().add_(RIDGE)
    inverse = torch.linalg.inv(gram)
    weights = inverse / -inverse.diagonal()
    weights.fill_diagonal_(0.0)
    out: Floats = weights.numpy()
    return out
