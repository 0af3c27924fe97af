"""Sliding windows of events, kept as strides: a window is the sum of the last few."""

from __future__ import annotations

from collections import deque

import numpy as np

from drift.histogram import MISSING
from drift.layout import Ints, Layout
from drift.thresholds import ENOUGH, LONGEST


class Strides:
    """The open stride and the closed ones.

    Args:
        layout: of the counts.
        per_window: strides of a window; a sparse series takes up to LONGEST times as many.

    Attributes:
        closed: counts of each, newest last, INT64 [total].
        open: counts of the stride that fills.
        filled: events in it.
        since: wall time of its first event, in unix seconds.
    """

    def __init__(self, layout: Layout, per_window: int) -> None:
        self._layout, self._per_window = layout, per_window
        self._missing = layout.begins + layout.bins + MISSING
        self.closed: deque[Ints] = deque(maxlen=LONGEST * per_window)
        self.open = np.zeros(layout.total, dtype=np.int64)
        self.filled = 0
        self.since = 0.0

    def add(self, places: Ints, wall_ts: float) -> None:
        """Count events into the open stride; `places` as `Layout.places` gives them."""
        if not self.filled:
            self.since = wall_ts
        self.open += self._layout.count(places)
        self.filled += len(places)

    def close(self) -> None:
        """Close the open stride."""
        self.closed.append(self.open)
        self.open = np.zeros(self._layout.total, dtype=np.int64)
        self.filled = 0

    def windows(self) -> Ints:
        """Each series' latest window, INT64 [total]: as many strides as a window has, more where values are few."""
        newest_first = np.array(self.closed)[::-1].cumsum(axis=0)
        n = self._layout.sums(newest_first) - newest_first[:, self._missing]
        enough = n[self._per_window - 1 :] >= ENOUGH
        longest = min(len(newest_first), LONGEST * self._per_window) - 1
        if len(enough):
            place = np.where(enough.any(axis=0), self._per_window - 1 + enough.argmax(axis=0), longest)
        else:
            place = np.full(len(self._missing), longest)
        window: Ints = newest_first[np.repeat(place, self._layout.bins), np.arange(self._layout.total)]
        return window
