"""The series that are watched, and their values for a batch of events."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from features import DENSE, DENSE_COLUMNS, GENRES
from features.declarations import TABLE

LABEL = "label"
LABELS = (LABEL, *(f"label:{genre}" for genre in GENRES))
"""Liked or not: of all events, and of those whose item is of a genre."""

SCORES = ("next", "like", "score")
"""Outputs of the ranker for the event's item, as the user was before it."""

SERIES = (*DENSE_COLUMNS, *LABELS, *SCORES)
EXACT = len(DENSE_COLUMNS) + len(LABELS)
"""The first EXACT series are of every event; scores are of sampled ones."""

DESCRIPTIONS = {
    **{column: TABLE.description(column) for column in DENSE_COLUMNS},
    LABEL: "1 where the rating is above 3, else 0.",
    **{f"{LABEL}:{genre}": f"1 where a rating of the genre {genre} is above 3, else 0." for genre in GENRES},
    "next": "The ranker's log-odds, up to a constant, that the item is the next.",
    "like": "The ranker's probability that the user likes the item.",
    "score": "The ranker's score, by which lists are ordered.",
    "logloss": "Log loss of the probability of a like, in nats.",
}
"""A sentence on each series, and on the log loss, which is checked event by event."""


def kind_of(name: str) -> Literal["feature", "label", "score"]:
    """Return the kind of a series.

    >>> kind_of("label:Drama")
    'label'
    """
    if name in SCORES:
        return "score"
    return "label" if name in LABELS else "feature"


def label_values(
    rows: npt.NDArray[np.floating], liked: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Values of LABELS.

    Args:
        rows: [N, columns], named as in `features.DENSE_COLUMNS`.
        liked: [N].

    Returns:
        (FP64 [N, 19] of 0 and 1, [N, 19] whether the event counts in the series).
    """
    values = np.repeat(liked.astype(np.float64)[:, None], len(LABELS), axis=1)
    counts = np.ones(values.shape, dtype=bool)
    counts[:, 1:] = rows[:, len(DENSE) :] > 0.5
    return values, counts
