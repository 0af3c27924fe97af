"""All bins of all series, side by side, so that a window is one row of counts."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from drift.events import Events, Scored
from drift.reference import Reference
from drift.series import EXACT, SERIES, label_values

Ints = npt.NDArray[np.int64]
T = TypeVar("T", np.int64, np.float64)


class Layout:
    """The place of each series' bins in a row of counts.

    Attributes:
        series: histogram of the reference by series.
        total: bins of all series.
        exact: bins of the series that are of every event; they come first.
        begins: first bin of each series, INT64 [series].
        bins: bins of each series, INT64 [series].
    """

    def __init__(self, reference: Reference) -> None:
        self.series = {name: reference.series[name] for name in SERIES}
        self.bins = np.array([histogram.bins for histogram in self.series.values()], dtype=np.int64)
        begins = np.concatenate([[0], np.cumsum(self.bins)]).tolist()
        self.begins = np.array(begins[:-1], dtype=np.int64)
        self._slices = {
            name: slice(begin, end) for name, begin, end in zip(self.series, begins[:-1], begins[1:], strict=True)
        }
        self.total: int = begins[-1]
        self.exact: int = begins[EXACT]

    def places(self, events: Events, scored: Scored) -> Ints:
        """The bin of each event in each series, INT64 [N, series]; -1 where the event has no value in it."""
        values, counts = label_values(events.rows, events.liked)
        columns = [*events.rows.T, *values.T, *scored.values.T]
        out = np.full((len(events), len(SERIES)), -1, dtype=np.int64)
        for number, (name, column) in enumerate(zip(self.series, columns, strict=True)):
            place = self.series[name].place(column) + self._slices[name].start
            if number >= EXACT:
                out[scored.place, number] = place
            else:
                out[:, number] = place
        labels = out[:, EXACT - counts.shape[1] : EXACT]
        labels[~counts] = -1
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
