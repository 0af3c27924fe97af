"""The models' input: names and order of every column, used alike in training and in serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from features.catalogue import GENRES
from features.counts import ATTRIBUTES_OF_ITEMS
from features.declarations import TABLE

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[np.integer]]
"""Feature rows as columns: name -> [rows] or, for a list, [rows, length]."""

_FEATURES = TABLE.features
_LISTS = tuple(attribute.name for attribute in ATTRIBUTES_OF_ITEMS if attribute.length > 1)

IDS = ("userid", "itemid", "gender", "age", "occupation")
"""Columns of the ranker's input `ids`, INT64 [N, 5]; -1 where an attribute is not known."""

DENSE = tuple(feature.name for feature in TABLE.features if len(feature.columns) == 1)
"""Features of one column, the first columns of the ranker's input `dense`."""

DENSE_COLUMNS = TABLE.columns
"""Columns of the ranker's input `dense`, FP32 [N, DENSE_COLUMNS]: DENSE, then 1 for each genre of the item."""


def dense(user: Columns, item: Columns) -> Floats:
    """The dense input of the ranker.

    Args:
        user: the counts of users, one row for each of N pairs; or a single row for all of them.
        item: the counts and attributes of items, N rows (see `features.columns.ItemTable`).

    Returns:
        FP32 [N, columns], named as in DENSE_COLUMNS.
    """
    item = {**item, **{name: item[name].astype(np.float32) for name in _LISTS}}
    inputs = {"user": user, "item": item}
    out = np.empty((len(item["n"]), len(DENSE_COLUMNS)), dtype=np.float32)
    place = 0
    for feature in _FEATURES:
        values = feature.formula(*[inputs[side][name] for side, name in feature.inputs])
        if len(feature.columns) == 1:
            out[:, place] = values
        else:
            out[:, place : place + len(feature.columns)] = values
        place += len(feature.columns)
    return out


def multi_hot(places: Sequence[Sequence[int]], length: int = len(GENRES)) -> npt.NDArray[np.int8]:
    """Lists of places, such as the genres of items, as [N, length] of 0 and 1."""
    out = np.zeros((len(places), length), dtype=np.int8)
    for row, of_item in enumerate(places):
        out[row, list(of_item)] = 1
    return out
