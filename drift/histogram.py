"""Bins fixed at training, and the place of any value in them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

BINS = 10
"""Most bins of the values within the reference's range."""

BELOW, ABOVE, MISSING = -3, -2, -1
"""Places of the last three bins: below the reference's range, above it, and NaN."""


@dataclass(frozen=True)
class Histogram:
    """The reference's values in bins.

    Attributes:
        edges: inner edges, ascending, each between two values that occur.
        categories: the values that occur where they are few, else empty; each is a bin of its own.
        low, high: least and greatest value.
        counts: values in each bin: one more bin than edges, then BELOW, ABOVE and MISSING.
        blocks, missing_blocks: blocks of a user's events with a value, and those with a missing one.
        unit: values that come together: the mean weight of the design effect (see `drift.thresholds`).
        tail: what PSI times number of values exceeds with each of `thresholds.PROBABILITIES` while nothing drifts.
    """

    edges: list[float]
    categories: list[float]
    low: float
    high: float
    counts: list[int]
    blocks: int = 0
    missing_blocks: int = 0
    unit: float = 1.0
    tail: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, values: npt.NDArray[np.floating]) -> Histogram:
        """The histogram of values [N]: a bin for each value where they are few, else bins at their own deciles.

        >>> Histogram.of(np.array([0.0, 0.0, 0.0, 1.0, np.nan])).counts
        [3, 1, 0, 0, 1]
        """
        present = values[~np.isnan(values)].astype(np.float64)
        if not len(present):
            return cls([], [], 0.0, 0.0, [0, 0, 0, len(values)])
        distinct = np.unique(present)
        few = len(distinct) <= BINS
        last = distinct[:-1] if few else np.unique(np.quantile(present, np.arange(1, BINS) / BINS, method="lower"))
        # An edge halfway to the next value: the last bit of a logarithm then decides nothing.
        place = np.searchsorted(distinct, last[last < distinct[-1]])
        edges = (distinct[place] + distinct[place + 1]) / 2
        categories = distinct.tolist() if few else []
        histogram = cls(edges.tolist(), categories, float(distinct[0]), float(distinct[-1]), [])
        counts = np.bincount(histogram.place(values), minlength=len(edges) + 4)
        return replace(histogram, counts=counts.tolist())

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.counts)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Share of each bin, FP64 [bins]; zeros without values."""
        counts = np.array(self.counts, dtype=np.float64)
        shares: npt.NDArray[np.float64] = counts / max(counts.sum(), 1.0)
        return shares

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value that is within the reference's range; the last bit of a value decides nothing."""
        slack = 1e-6 * max(abs(self.low), abs(self.high))
        return self.low - slack, self.high + slack

    def place(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """The bin of each of any values [N], INT64 [N]."""
        inner, values = len(self.edges) + 1, np.asarray(values, dtype=np.float64)
        place = np.searchsorted(self.edges, values)
        low, high = self.bounds
        place[values < low] = inner
        place[values > high] = inner + 1
        place[np.isnan(values)] = inner + 2
        return place

    def labels(self) -> list[str]:
        """The bins in words."""
        if self.categories:
            inner = [f"{value:g}" for value in self.categories]
        elif self.edges:
            bounds = [f"{edge:.4g}" for edge in self.edges]
            between = [f"{low} to {high}" for low, high in pairwise(bounds)]
            inner = [f"up to {bounds[0]}", *between, f"above {bounds[-1]}"]
        else:
            inner = ["any"]
        return [*inner, f"below {self.low:.4g}, the least at training", f"over {self.high:.4g}, the most", "missing"]

    def as_json(self) -> dict[str, object]:
        """As it stands in reference.json."""
        return asdict(self)
