"""Item-item scores: how often one item follows another, and EASE (Steck, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from offline.data.history import Floats
from offline.data.readers import Ints
from offline.data.windows import Sequences

LAGS = 20
"""Events after an event that count as following it, the k-th with a weight of 1 / sqrt(k)."""

RIDGE = 300.0
"""Regularisation of EASE."""


@dataclass(frozen=True)
class Neighbours:
    """Tables over the places of items in the ascending itemids.

    Attributes:
        follows: weight of liked events of the second item soon after the first, FP32 [items, items].
        ease: weights of EASE, from the item rated to the item scored, FP32 [items, items].
    """

    follows: Floats
    ease: Floats


def neighbours(events: Sequences, itemids: Ints) -> Neighbours:
    """Count and solve on some events; `itemids` is the catalogue, ascending."""
    item, n = np.searchsorted(itemids, events.itemid), len(itemids)
    user = np.repeat(np.arange(len(events.userid)), np.diff(events.start))
    follows = np.zeros(n * n, dtype=np.float32)
    for lag in range(1, LAGS + 1):
        taken = (user[lag:] == user[:-lag]) & events.liked[lag:]
        pairs, times = np.unique(item[:-lag][taken] * n + item[lag:][taken], return_counts=True)
        follows[pairs] += times.astype(np.float32) / np.float32(lag**0.5)
    return Neighbours(follows.reshape(n, n), _ease(user, item, len(events.userid), n))


def _ease(user: Ints, item: Ints, users: int, items: int) -> Floats:
    rated = torch.zeros(users, items)
    rated[torch.from_numpy(user), torch.from_numpy(item)] = 1.0
    gram = rated.T @ rated
    gram.diagonal().add_(RIDGE)
    inverse = torch.linalg.inv(gram)
    weights = inverse / -inverse.diagonal()
    weights.fill_diagonal_(0.0)
    out: Floats = weights.numpy()
    return out
