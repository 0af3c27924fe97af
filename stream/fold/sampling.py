"""The choice of events that are scored before they are learned from: as many a second as the ranker can take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Sampler:
    """A bucket of tokens that fills steadily; what is not used within a second is lost.

    Args:
        per_s: tokens a second.
        clock: gives seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._tokens, self._filled = max(per_s, 1.0) if per_s else 0.0, clock()

    def choose(self, count: int) -> range:
        """Places of the chosen among `count` events, evenly spread; as many as there are tokens for."""
        now = self._clock()
        full = max(self._per_s, 1.0) if self._per_s else 0.0
        self._tokens = min(full, self._tokens + (now - self._filled) * self._per_s)
        self._filled = now
        taken = min(count, int(self._tokens))
        self._tokens -= taken
        if not taken:
            return range(0)
        return range((count // taken) // 2, count, -(-count // taken))
