"""All bins of all series, side by side, so that a window is one row of counts."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from drift.events import Events, Scored
from drift.reference import Reference
from drift.series import Series

AT_ONCE = 1024
"""Events whose values are compared with all edges at once."""

Ints = npt.NDArray[np.int64]
T = TypeVar("T", np.int64, np.float64)


class Layout:
    """The place of each series' bins in a row of counts.

    Args:
        series: the series.
        reference: of their values.

    Attributes:
        series: histogram of the reference by series.
        total: bins of all series.
        exact: bins of the series that are of every event; they come first.
        begins: first bin of each series, INT64 [series].
        bins: bins of each series, INT64 [series].
    """

    def __init__(self, series: Series, reference: Reference) -> None:
        self._of = series
        self.series = {name: reference.series[name] for name in series.names}
        self.bins = np.array([histogram.bins for histogram in self.series.values()], dtype=np.int64)
        begins = np.concatenate([[0], np.cumsum(self.bins)]).tolist()
        self.begins = np.array(begins[:-1], dtype=np.int64)
        self._slices = {
            name: slice(begin, end) for name, begin, end in zip(self.series, begins[:-1], begins[1:], strict=True)
        }
        bounds = [histogram.bounds for histogram in self.series.values()]
        self._low, self._high = np.array(bounds, dtype=np.float64).reshape(-1, 2).T
        self._inner = np.array([len(histogram.edges) + 1 for histogram in self.series.values()], dtype=np.int64)
        self._edges = np.full((len(self.series), max(self._inner, default=1) - 1), np.inf)
        for edges, histogram in zip(self._edges, self.series.values(), strict=True):
            edges[: len(histogram.edges)] = histogram.edges
        self.total: int = begins[-1]
        self.exact: int = begins[series.exact]

    def places(self, events: Events, scored: Scored) -> Ints:
        """The bin of each event in each series, INT64 [N, series]; -1 where the event has no value in it."""
        values, counts = self._of.label_values(events.rows, events.liked)
        exact = self._of.exact
        out = np.full((len(events), len(self.series)), -1, dtype=np.int64)
        out[:, :exact] = self._places(np.column_stack([events.rows, values]), slice(exact))
        out[scored.place, exact:] = self._places(scored.values, slice(exact, None))
        labels = out[:, exact - counts.shape[1] : exact]
        labels[~counts] = -1
        return out

    def _places(self, values: npt.NDArray[np.floating], series: slice) -> Ints:
        """The bins of values in some series, FP [N, series]: as `Histogram.place` gives them, of all series at once."""
        edges, low, high, inner = (of[series] for of in (self._edges, self._low, self._high, self._inner))
        out = np.empty(values.shape, dtype=np.int64)
        for start in range(0, len(values), AT_ONCE):
            some = values[start : start + AT_ONCE].astype(np.float64)
            place = (some[:, :, None] > edges).sum(axis=2)
            place = np.where(some < low, inner, place)
            place = np.where(some > high, inner + 1, place)
            out[start : start + AT_ONCE] = np.where(np.isnan(some), inner + 2, place)
        out += self.begins[series]
        return out

    def count(self, places: Ints) -> Ints:
        """Events in each bin, INT64 [total]."""
        flat = places.ravel()
        return np.bincount(flat[flat >= 0], minlength=self.total)

    def sums(self, bins: npt.NDArray[T]) -> npt.NDArray[T]:
        """Sums over the bins of each series: [..., total] -> [..., series]."""
        return np.add.reduceat(bins, self.begins, axis=-1)

    def of(self, name: str, counts: Ints) -> Ints:
        """A series' part of counts [..., total]."""
        part: Ints = counts[..., self._slices[name]]
        return part
