"""Vectors of items that hardly anyone has come to, from their attributes and the words of their titles and texts.

A ridge regression from metadata to the encoder's vectors, fitted on items with events (as in Gantner et al., 2010),
says where an item of this kind usually stands. An item's own vector counts as much as its events, the regression's as
much as PRIOR events, so that one with many events has its own.

A new item has the vector that a second regression predicts, in which an item weighs as much as its events. The first
says where most items of the kind stand, and most of them hardly anyone comes to; the second says where the items stand
that people come to, and only there is a new item found. The run keeps the second (`scoring.metadata`)
for items that come after the training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from features import Catalogue, Item, Schema, ascending
from offline.data.history import Floats
from offline.data.readers import Ints
from scoring.metadata import LARGEST, WORD, Block, Columns, Describer, Regression

__all__ = ["LARGEST", "columns_of", "describe", "new_vectors", "regression", "settled", "usual_vectors"]

PRIOR = 1.0
"""Events that the regression's vector weighs."""

RIDGE = 1.0
"""Regularisation."""

NEW_RIDGE = 2.0
"""Regularisation where items weigh as much as their events, 1 on average."""

RARE = 3
"""A word of fewer items than this says nothing."""

MOST_WORDS = 2000
"""Most words of an attribute that have a column; of more, the most frequent have one."""


def describe(schema: Schema, catalogue: Catalogue) -> Floats:
    """A constant and all attributes of items, by ascending id; FP32 [items, columns]."""
    items = _ascending(catalogue)
    return Describer(schema, columns_of(schema, items)).table(items)


def columns_of(schema: Schema, items: list[Item]) -> Columns:
    """The columns that describe some items."""
    blocks = []
    for place, attribute in enumerate(schema.item_attributes):
        values = [item.values[place] for item in items]
        if attribute.kind == "text":
            words = _words(value if isinstance(value, str) else "" for value in values)
            blocks.append(Block(attribute=attribute.name, words=words))
        elif attribute.values:
            blocks.append(Block(attribute=attribute.name))
        elif attribute.kind == "number":
            blocks.append(Block(attribute=attribute.name, missing=None in values))
    blocks.append(Block(attribute="", words=_words(item.title for item in items)))
    return Columns(blocks=tuple(blocks))


def _ascending(catalogue: Catalogue) -> list[Item]:
    return [catalogue.items[itemid] for itemid in ascending(catalogue.items)]


def _words(texts: Iterable[str]) -> tuple[str, ...]:
    """The words that have a column, in alphabetical order."""
    counted = Counter(word for text in texts for word in {*WORD.findall(text.lower())})
    frequent = sorted((word for word, n in counted.items() if n >= RARE), key=lambda word: (-counted[word], word))
    return tuple(sorted(frequent[:MOST_WORDS]))


def regression(schema: Schema, catalogue: Catalogue, vectors: Floats, n: Ints) -> Regression:
    """The regression that predicts a new item's vector, fitted on all items; arguments as of `new_vectors`."""
    columns = columns_of(schema, _ascending(catalogue))
    return Regression(columns, _new_weights(describe(schema, catalogue), vectors, n).astype(np.float32))


def _new_weights(table: Floats, vectors: Floats, n: Ints) -> Floats:
    """The regression for new items, FP64 [columns, D].

    What is predicted is the difference from the mean, so that the mean is not drawn towards 0.
    """
    events = n / max(n.sum() / max(np.count_nonzero(n), 1), 1)
    mean = events @ vectors / max(events.sum(), 1)
    weights = _weights(table, vectors - mean, events, NEW_RIDGE)
    weights[0] += mean
    return weights


def _weights(table: Floats, vectors: Floats, weights: Floats, ridge: float) -> Floats:
    """FP64 [columns, D], from the weight of each item."""
    weight = weights[:, None]
    left = table.T @ (weight * table) + ridge * np.eye(table.shape[1])
    solved: Floats = np.linalg.solve(left, table.T @ (weight * vectors))
    return solved


def usual_vectors(table: Floats, vectors: Floats, n: Ints) -> Floats:
    """Predict the vector of every item, FP32 [items, D]; an item with `n` INT64 events weighs n / (n + PRIOR)."""
    return _predicted(table, _weights(table, vectors, n / (n + PRIOR), RIDGE))


def new_vectors(table: Floats, vectors: Floats, n: Ints) -> Floats:
    """Predict the vector that every item would have if it were new, FP32 [items, D]; an item weighs its `n` events."""
    return _predicted(table, _new_weights(table, vectors, n))


def _predicted(table: Floats, weights: Floats) -> Floats:
    predicted: Floats = (table @ weights).astype(np.float32)
    return predicted


def settled(table: Floats, vectors: Floats, n: Ints) -> Floats:
    """Vectors [items, D] drawn towards the regression's where there are few events; those of new items without any."""
    own = (n / (n + PRIOR)).astype(np.float32)[:, None]
    mixed = own * vectors + (1.0 - own) * usual_vectors(table, vectors, n)
    return np.where((n == 0)[:, None], new_vectors(table, vectors, n), mixed)
