"""Detectors of change in a sequence of values, event by event, from the library river.

ADWIN: Bifet and Gavalda, Learning from time-changing data with adaptive windowing, 2007.
KSWIN: Raab, Heusinger and Schleif, Reactive soft prototype computing for concept drift streams, 2020.
"""

from __future__ import annotations

import pickle
from typing import Any, Literal

from compat.river import unpickle

DELTA = 1e-24
"""ADWIN's confidence. Far less than usual: it is for independent values, and events of one user are not."""

ALPHA = 1e-32
"""KSWIN's threshold on the p-value."""

RECENT, KEPT = 150, 600
"""Latest values that KSWIN compares with as many of those before, out of KEPT."""

SEED = 7


class Change:
    """Watches one sequence.

    Args:
        detector: adwin (for means) or kswin (for distributions).

    Attributes:
        mean: of the values since the last change.
    """

    def __init__(self, detector: Literal["adwin", "kswin"]) -> None:
        from river.drift import ADWIN, KSWIN

        self.detector = detector
        self._river: Any = (
            ADWIN(delta=DELTA)  # type: ignore[no-untyped-call]
            if detector == "adwin"
            else KSWIN(alpha=ALPHA, window_size=KEPT, stat_size=RECENT, seed=SEED)
        )
        self._n, self.mean = 0, 0.0

    def add(self, value: float) -> tuple[float, float] | None:
        """Take a value; where it shows a change, the means before and after."""
        before = self.mean
        self._n += 1
        self.mean += (value - self.mean) / self._n
        self._river.update(value)
        if not self._river.drift_detected:
            return None
        self._n, self.mean = 0, 0.0
        return before, self._latest()

    def _latest(self) -> float:
        """Mean of the values since the change, as far as the detector knows them."""
        if self.detector == "adwin":
            return float(self._river.estimation)
        latest = list(self._river.window)[-RECENT:]
        return float(sum(latest) / len(latest))

    def pack(self) -> bytes:
        """All that it knows."""
        return pickle.dumps((self.detector, self._river, self._n, self.mean))

    @classmethod
    def unpack(cls, packed: bytes) -> Change:
        """Restore what `pack` returned; only river's detectors are accepted."""
        change = cls.__new__(cls)
        change.detector, change._river, change._n, change.mean = unpickle(packed)
        return change
