"""The schema of a data set: its description, and what the description leaves to the data.

Only what is left open is learned, so that a description that leaves nothing open has the same schema for any data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from features import Schema
from features.attributes import LearnedAttribute
from features.dataset import Attribute, Categories, Category, DataSet, Number
from features.schema import HALF, Learned
from offline.data.tables import Categorical, Column, MultiCategorical, Numeric, Tables

NOTHING = LearnedAttribute()


def learn(dataset: DataSet, tables: Tables, positive_share: Callable[[], float]) -> Schema:
    """Learn the schema of a data set.

    Args:
        dataset: the description.
        tables: the data.
        positive_share: gives the share of positive events among the training events; asked for where the description
            has none.
    """
    learned = Learned(
        items=_attributes(dataset.items.attributes, tables.items.attributes),
        users=_attributes(dataset.users.attributes, tables.users.attributes),
        positive_share=HALF if dataset.positive_share is not None else positive_share(),
    )
    return Schema(dataset, learned)


def _attributes(described: Mapping[str, Attribute], columns: Mapping[str, Column]) -> dict[str, LearnedAttribute]:
    learned = {name: _attribute(attribute, columns[name]) for name, attribute in described.items()}
    return {name: attribute for name, attribute in learned.items() if attribute != NOTHING}


def _attribute(described: Attribute, column: Column) -> LearnedAttribute:
    if isinstance(described, Category) and isinstance(column, Categorical):
        return LearnedAttribute(values=() if described.values else column.names)
    if isinstance(described, Categories) and isinstance(column, MultiCategorical):
        return LearnedAttribute(values=() if described.values or described.flags else column.names)
    if isinstance(described, Number) and isinstance(column, Numeric):
        return _number(described, column)
    return NOTHING


def _number(described: Number, column: Numeric) -> LearnedAttribute:
    """The buckets of a number and, unless it is derived from another attribute, where it lies and how it spreads."""
    values = column.buckets.names if column.buckets is not None and not described.values else ()
    bounds = () if described.buckets else tuple(column.bounds.tolist())
    present = column.numbers[~np.isnan(column.numbers)]
    center, scale = 0.0, 1.0
    if len(present) and not described.of:
        low, middle, high = np.quantile(present, [0.25, 0.5, 0.75]).tolist()
        center = middle if described.center is None else center
        scale = (high - low or scale) if described.scale is None else scale
    return LearnedAttribute(values=values, bounds=bounds, center=center, scale=scale)
