"""Vectors of items that hardly anyone has rated, from their genres, decade and title.

A ridge regression from metadata to the encoder's vectors, fitted on items with events (as in Gantner et al., 2010),
says where an item of this kind usually stands. An item's own vector counts as much as its events, the regression's as
much as PRIOR events, so that a new item has the regression's, and one that is often rated its own.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from features import DECADES, GENRES, Catalogue
from offline.data.history import Floats
from offline.data.readers import Ints

PRIOR = 1.0
"""Events that the regression's vector weighs."""

RIDGE = 1.0
"""Regularisation."""

RARE = 3
"""A word of fewer titles than this says nothing."""


def describe(catalogue: Catalogue) -> Floats:
    """A constant, genres, decades and the words of titles, by ascending itemid; FP32 [items, columns]."""
    items = [catalogue.items[itemid] for itemid in sorted(catalogue.items)]
    words = [set(re.findall(r"[a-z0-9]+", item.title.lower())) for item in items]
    titles = Counter(word for of in words for word in of)
    known = {word: place for place, word in enumerate(sorted(word for word, n in titles.items() if n >= RARE))}
    first = 1 + len(GENRES) + DECADES
    table = np.zeros((len(items), first + len(known)), dtype=np.float32)
    table[:, 0] = 1.0
    for row, (item, of) in enumerate(zip(items, words, strict=True)):
        table[row, [1 + genre for genre in item.genres]] = 1.0
        table[row, 1 + len(GENRES) + item.decade] = 1.0
        table[row, [first + known[word] for word in of if word in known]] = 1.0
    return table


def usual_vectors(table: Floats, vectors: Floats, n: Ints) -> Floats:
    """Predict the vector of every item, FP32 [items, D]; an item with `n` INT64 events weighs n / (n + PRIOR)."""
    weight = (n / (n + PRIOR))[:, None]
    left = table.T @ (weight * table) + RIDGE * np.eye(table.shape[1])
    usual: Floats = (table @ np.linalg.solve(left, table.T @ (weight * vectors))).astype(np.float32)
    return usual


def settled(table: Floats, vectors: Floats, n: Ints) -> Floats:
    """Vectors [items, D] drawn towards the regression's where there are few events."""
    own = (n / (n + PRIOR)).astype(np.float32)[:, None]
    return own * vectors + (1.0 - own) * usual_vectors(table, vectors, n)
