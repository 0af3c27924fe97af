"""The series that are watched, and their values for a batch of events."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from features import Item, Schema
from features.dataset import Feedback

LABEL = "label"
"""The series of all labels: 1 for a positive event, else 0."""

SCORES = ("next", "like", "score")
"""Outputs of the ranker for the event's item, as the user was before it."""

LOGLOSS = "logloss"
"""The log loss of the probability of a like, which is checked event by event, and no series of windows."""


class Series:
    """The series of a data set.

    Args:
        schema: of the data set.

    Attributes:
        schema: the same.
        features: columns of the ranker's dense input.
        labels: LABEL, and for each value of the terms with a column for each value, the labels of its items' events.
        names: all series: features, labels, SCORES.
        exact: how many of these, the first, are of every event; scores are of sampled ones.
        descriptions: a sentence on each series, and on LOGLOSS.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        # Two attributes may have values of the same name.
        qualified = len(schema.windowed) > 1
        by_value = {
            ":".join([LABEL, term.singular, value] if qualified else [LABEL, value]): f"{term.singular} {value}"
            for term in schema.windowed
            for value in term.values
        }
        self._windowed = [term.windowed for term in schema.terms]
        self._lengths = [len(term.values) for term in schema.windowed]
        self._first_column = len(schema.dense_names)
        self.features = schema.dense_columns
        self.labels = (LABEL, *by_value)
        self.names = (*self.features, *self.labels, *SCORES)
        self.exact = len(self.features) + len(self.labels)
        positive = [_condition(*typed) for typed in schema.dataset.feedback.items() if typed[1].positive.possible]
        self.descriptions = {
            **{column: schema.table.description(column) for column in self.features},
            LABEL: f"1 where an event is positive ({' or '.join(positive) or 'none is'}), else 0.",
            **{label: f"1 where an event of the {value} is positive, else 0." for label, value in by_value.items()},
            "next": "The ranker's log-odds, up to a constant, that the item is the next.",
            "like": "The ranker's probability that the user likes the item.",
            "score": "The ranker's score, by which lists are ordered.",
            LOGLOSS: "Log loss of the probability of a like, in nats.",
        }

    def kind(self, name: str) -> Literal["feature", "label", "score"]:
        """Return the kind of a series."""
        if name in SCORES:
            return "score"
        return "label" if name in self.labels else "feature"

    def labels_of(self, item: Item) -> list[str]:
        """The labels in which an event with an item counts."""
        labels, first = [LABEL], 1
        windowed = [codes for codes, windowed in zip(item.terms, self._windowed, strict=True) if windowed]
        for codes, length in zip(windowed, self._lengths, strict=True):
            labels += [self.labels[first + code] for code in codes]
            first += length
        return labels

    def label_values(
        self, rows: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Values of the labels.

        Args:
            rows: [N, columns], named as in `features`.
            positive: the labels, [N].

        Returns:
            (FP64 [N, labels] of 0 and 1, [N, labels] whether the event counts in the series).
        """
        values = np.repeat(positive.astype(np.float64)[:, None], len(self.labels), axis=1)
        counts = np.ones(values.shape, dtype=bool)
        counts[:, 1:] = rows[:, self._first_column :] > 0.5
        return values, counts


def _condition(name: str, rule: Feedback) -> str:
    """The positive events of a type in words."""
    return f"{name} with {rule.positive.text}" if rule.positive.needs_value else name
