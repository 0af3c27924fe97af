"""Item-item scores: how often one item follows another, and EASE (Steck, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array  # type: ignore[import-untyped]

from features.dataset.codes import Codes
from offline.data.history import Floats
from offline.data.windows import Sequences
from offline.models.item_pairs import Block, Kept, Sparse
from offline.models.targets import weights

LAGS = 20
"""Events after an event that count as following it, the k-th with a weight of 1 / sqrt(k)."""

RIDGE = 300.0
"""Regularisation of EASE."""

SOLVED = 8_000
"""Most items that EASE is solved for, those with the most events: its cost grows with their number cubed."""


@dataclass(frozen=True)
class Neighbours:
    """Tables of what items say of each other, by their numbers.

    Attributes:
        pairs: of the pairs that are kept, the weight of discoveries of the second item soon after an event with the
            first, and the weight of EASE from the first, which the user has come to, to the second, which is scored.
        follow_sum: weight of all discoveries soon after an event with an item, FP32 [size].
        followed: weight of all discoveries of an item soon after an event, FP32 [size].
    """

    pairs: Kept
    follow_sum: Floats
    followed: Floats


def neighbours(codes: Codes, events: Sequences, items: int) -> Neighbours:
    """Count and solve on some events, of so many items."""
    size = items + 1
    follows = _follows(codes, events, size)
    return Neighbours(
        Kept.of(size, [Sparse(follows), _ease(events, size)]),
        follows.sum(axis=1).astype(np.float32),
        follows.sum(axis=0).astype(np.float32),
    )


def _follows(codes: Codes, events: Sequences, size: int) -> csr_array:
    """Weight of discoveries of an item, the column, soon after an event with another, the row."""
    weight, user = weights(codes, events), events.user_of_event()
    follows = csr_array((size, size), dtype=np.float32)
    for lag in range(1, LAGS + 1):
        taken = (user[lag:] == user[:-lag]) & events.target[lag:]
        first, second = events.item[:-lag][taken], events.item[lag:][taken]
        times = (weight[lag:][taken] / lag**0.5).astype(np.float32)
        follows = follows + coo_array((times, (first, second)), shape=(size, size)).tocsr()
    return follows


def _ease(events: Sequences, size: int) -> Block:
    """Weights of EASE among the items with the most events."""
    count = np.bincount(events.item, minlength=size)
    most = np.sort(np.argsort(-count, kind="stable")[:SOLVED])
    solved = most[count[most] > 0]
    row = np.full(size, -1)
    row[solved] = np.arange(len(solved))
    item, user = row[events.item], events.user_of_event()
    among = item >= 0
    known = coo_array((np.ones(among.sum(), np.float32), (user[among], item[among]))).tocsr()
    known.data[:] = 1.0  # an item that a user has come to several times counts once
    gram = torch.from_numpy((known.T @ known).toarray())
    gram.diagonal().add_(RIDGE)
    inverse = torch.linalg.inv(gram)
    found = inverse / -inverse.diagonal()
    found.fill_diagonal_(0.0)
    values: Floats = found.numpy()
    return Block(solved, values)
