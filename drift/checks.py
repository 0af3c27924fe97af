"""The check of all series at the end of a stride: what each measures, and what it may measure while nothing drifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drift.budget import PSI_SHARE, STRAY_SHARE
from drift.histogram import ABOVE, BELOW, MISSING
from drift.layout import Ints, Layout
from drift.thresholds import BLOCK, FEWEST, PROBABILITIES, Floats, poisson_threshold

STRAY = 0.02
"""Share of values that may be missing, or out of range, beyond what was so at training, whatever their number."""

NORMAL = 1e-3
"""An alarm closes once PSI is where 999 in 1,000 windows are while nothing drifts: well under what opens one."""


@dataclass(frozen=True)
class Check:
    """Measures of all series, FP64 [..., series] each, in the order of `Layout.series`.

    Attributes:
        n: values.
        psi: against the reference.
        threshold: PSI over this raises an alarm.
        normal: PSI under this closes one.
        missing, out_of_range: shares.
    """

    n: Floats
    psi: Floats
    threshold: Floats
    normal: Floats
    missing: Floats
    out_of_range: Floats

    @property
    def enough(self) -> list[bool]:
        """Return the series that have enough values for a check."""
        listed: list[bool] = (self.n >= FEWEST).tolist()
        return listed


class Checks:
    """Measures windows against the reference of a layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        histograms = list(layout.series.values())
        self._shares = np.concatenate([histogram.shares for histogram in histograms])
        self._units = np.repeat([histogram.unit for histogram in histograms], layout.bins)
        self._tails = np.array([histogram.tail for histogram in histograms])
        self._known = np.array([max(sum(histogram.counts), 1) for histogram in histograms], dtype=np.float64)
        self._grid = -np.log10(PROBABILITIES)
        self._of = np.repeat(np.arange(len(histograms)), layout.bins)
        self._last = layout.begins + layout.bins

    def check(self, window: Ints, alpha: float) -> Check:
        """Measure windows, INT64 [..., total]; `alpha` is the probability of a false alarm that each may take."""
        n = self._layout.sums(window).astype(np.float64)
        some = np.maximum(n, 1.0)
        threshold = self.threshold(alpha, some)
        return Check(
            n=n,
            psi=self._psi(window, some),
            threshold=threshold,
            normal=np.minimum(self._exceeded(NORMAL, some), threshold),
            missing=window[..., self._last + MISSING] / some,
            out_of_range=(window[..., self._last + BELOW] + window[..., self._last + ABOVE]) / some,
        )

    def stray(self, name: str, missing: bool, n: float, alpha: float) -> float:
        """Share of values that may be missing, or out of range, in a window of n values.

        Values stray by blocks. As many blocks may do so as a Poisson variable exceeds with the probability only; its
        mean is one block more than there were in the reference, as one that has not been seen yet may come.
        """
        histogram = self._layout.series[name]
        blocks = max(histogram.blocks, 1)
        size = max(sum(histogram.counts) / blocks, 1.0)
        share, strayed = (float(histogram.shares[MISSING]), histogram.missing_blocks) if missing else (0.0, 0)
        mean = n / size * (strayed + 1) / blocks
        probability = alpha * STRAY_SHARE / (2 * len(self._layout.series))
        most = poisson_threshold(mean, probability) * max(size, BLOCK if size > 1 else 1)
        return max(share + STRAY, most / n)

    def _psi(self, window: Ints, n: Floats) -> Floats:
        """As `divergence.psi`, of all series at once."""
        every = n[..., self._of]
        half = 0.5 * self._units / every
        now, then = np.maximum(window / every, half), np.maximum(self._shares, half)
        used = (window > 0) | (self._shares > 0)
        return self._layout.sums(np.where(used, (now - then) * np.log(now / then), 0.0))

    def threshold(self, alpha: float, n: Floats) -> Floats:
        """The PSI over which series with n values, [..., series], raise an alarm."""
        return self._exceeded(alpha * PSI_SHARE / len(self._layout.series), n)

    def _exceeded(self, probability: float, n: Floats) -> Floats:
        """The PSI of each series that windows of n values exceed with a probability.

        The reference is a sample as well: it is as far from what it was drawn from as a window of its size.
        """
        at = min(max(-np.log10(max(probability, 1e-300)), self._grid[0]), self._grid[-1])
        low = min(int(np.searchsorted(self._grid, at, side="right")) - 1, len(self._grid) - 2)
        part = (at - self._grid[low]) / (self._grid[low + 1] - self._grid[low])
        tail = self._tails[:, low] * (1.0 - part) + self._tails[:, low + 1] * part
        threshold: Floats = tail * (1.0 + n / self._known) / n
        return threshold
