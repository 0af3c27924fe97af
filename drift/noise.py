"""What PSI comes to while nothing drifts: the band of what is normal.

Events of one user resemble each other, so 1,000 events say less than 1,000 independent values would, and the textbook's
thresholds (0.1, 0.25) are too low for some series and far too high for others. So windows are drawn from the reference
itself, in blocks of successive events of a user, and the band of a series is a high quantile of their PSI. PSI of
undrifted values falls with their number, so what is kept is the quantile of PSI times number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from drift.divergence import psi
from drift.histogram import Histogram

BLOCK = 10
"""Most successive events of a user in a block."""

DRAWS = 4000
"""Windows drawn."""

QUANTILE = 0.999
MARGIN = 1.25
"""Factor on the quantile: a stream has far more windows than are drawn here."""

LEAST = 15.0
"""Least noise: about what a single proportion of independent events exceeds once in ten thousand windows."""

ENOUGH = 100
"""Values that the window of a series should have; the windows of a sparse series are longer."""

FEWEST = 30
"""Values of a window below which nothing is said of it."""

LONGEST = 4
"""Longest window of a sparse series, in windows."""

Ints = npt.NDArray[np.int64]


def blocks_of(userid: npt.NDArray[np.integer]) -> Ints:
    """Where blocks begin among events by user: at each user's first and each BLOCK-th after it; INT64 [blocks].

    >>> blocks_of(np.array([1] * 12 + [2] * 3)).tolist()
    [0, 10, 12]
    """
    begins = np.ones(len(userid), dtype=bool)
    begins[1:] = userid[1:] != userid[:-1]
    first = np.flatnonzero(begins)
    since = np.arange(len(userid)) - np.repeat(first, np.diff(np.append(first, len(userid))))
    return np.flatnonzero(since % BLOCK == 0)


class Draws:
    """The same windows for every series.

    Args:
        userid: of the reference's events, by user and in time order, [N].
        window: events of a window.
        seed: of the draws.
    """

    def __init__(self, userid: npt.NDArray[np.integer], window: int, seed: int) -> None:
        self._blocks = blocks_of(userid)
        self._per_window = max(1, round(window * len(self._blocks) / max(len(userid), 1)))
        self._window, self._seed = window, seed

    def noise(self, histogram: Histogram, place: Ints) -> float:
        """The noise of a series.

        Args:
            histogram: of the reference.
            place: bin of each of the reference's events, INT64 [N]; -1 where the series has no value.
        """
        counted = place >= 0
        if not counted.any():
            return LEAST
        bins = histogram.bins
        of_block = np.repeat(np.arange(len(self._blocks)), np.diff(np.append(self._blocks, len(place))))
        flat = np.bincount(of_block[counted] * bins + place[counted], minlength=len(self._blocks) * bins)
        counts = flat.reshape(len(self._blocks), bins)
        windows = windows_needed(float(counted.mean()) * self._window)
        rng = np.random.default_rng(self._seed)
        found = []
        for _ in range(0, DRAWS, 200):
            drawn = counts[rng.integers(0, len(counts), (200, round(windows * self._per_window)))].sum(axis=1)
            drawn = drawn[drawn.sum(axis=1) > 0]
            found.append(psi(histogram.shares, drawn) * drawn.sum(axis=1))
        return max(LEAST, MARGIN * float(np.quantile(np.concatenate(found), QUANTILE)))


def windows_needed(expected: float) -> float:
    """Windows that a series with so many values in one needs to have ENOUGH, 1 to LONGEST."""
    return min(max(ENOUGH / max(expected, 1e-9), 1.0), float(LONGEST))
