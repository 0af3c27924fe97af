"""The reference of a training run: how each input and each score of the ranker was distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

BINS = 10
"""Most bins of a histogram."""


@dataclass(frozen=True)
class Histogram:
    """Values by bins that hold about equal shares of the reference.

    Attributes:
        edges: inner edges, ascending; a bin holds what is above its lower edge up to and with its upper edge.
        counts: values in each bin, one more than edges.
        missing: share of values that are NaN.
    """

    edges: list[float]
    counts: list[int]
    missing: float

    @classmethod
    def of(cls, values: npt.NDArray[np.floating]) -> Histogram:
        """The histogram of values [N] with bins at their own deciles; equal deciles make one edge.

        >>> Histogram.of(np.array([0.0, 0.0, 0.0, 1.0, np.nan]))
        Histogram(edges=[0.0], counts=[3, 1], missing=0.2)
        """
        present = values[~np.isnan(values)].astype(np.float64)
        if not len(present):
            return cls([], [0], 1.0 if len(values) else 0.0)
        inner = np.unique(np.quantile(present, np.arange(1, BINS) / BINS, method="inverted_cdf"))
        edges = inner[inner < present.max()]
        counts = np.bincount(np.searchsorted(edges, present), minlength=len(edges) + 1)
        return cls(edges.tolist(), counts.tolist(), (len(values) - len(present)) / len(values))

    def count(self, values: npt.NDArray[np.floating]) -> list[int]:
        """How many of other values [N] fall into each bin; NaN into none."""
        place = np.searchsorted(self.edges, values[~np.isnan(values)].astype(np.float64))
        counts: list[int] = np.bincount(place, minlength=len(self.counts)).tolist()
        return counts


@dataclass(frozen=True)
class Reference:
    """Histograms of a run.

    Attributes:
        features: by name, as in `features.DENSE_COLUMNS`.
        scores: by the ranker's output: next, like, score.
    """

    features: dict[str, Histogram]
    scores: dict[str, Histogram]

    @classmethod
    def of(
        cls, features: Mapping[str, npt.NDArray[np.floating]], scores: Mapping[str, npt.NDArray[np.floating]]
    ) -> Reference:
        """The reference of columns of values."""
        return cls(
            {name: Histogram.of(values) for name, values in features.items()},
            {name: Histogram.of(values) for name, values in scores.items()},
        )

    def as_json(self) -> dict[str, dict[str, dict[str, object]]]:
        """As it stands in reference.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Mapping[str, Mapping[str, object]]]) -> Reference:
        """Read what `as_json` made.

        Raises:
            KeyError, TypeError: it is not a reference.
        """
        parts = {
            part: {name: Histogram(**histogram) for name, histogram in given[part].items()}  # type: ignore[arg-type]
            for part in ("features", "scores")
        }
        return cls(parts["features"], parts["scores"])
