"""Failures that a worker survives: none is silent, none stops the fold."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("reelstream.stream")

DRIFT = "drift"
"""Failures in watching drift."""

STORED_VALUES = "stored values"
"""Values in a store that cannot be read or written."""

DEAD_LETTERS = "dead letters"
"""Dead letters that Kafka refuses."""

KINDS = (DEAD_LETTERS, DRIFT, STORED_VALUES)

REMEMBERED_S = 3600.0
"""Seconds for which a failure stands in the worker's health."""


class Troubles:
    """Reports failures in the worker's log, its metrics and its health; safe to share between threads.

    Args:
        noticed: called with the kind of a failure and how many there were, for the metrics.
        clock: gives seconds.
    """

    def __init__(self, noticed: Callable[[str, int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._noticed, self._clock = noticed, clock
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._latest: dict[str, tuple[float, str]] = {}

    def report(self, kind: str, message: str, n: int = 1, error: BaseException | None = None) -> None:
        """Report `n` failures of a kind; an error's traceback is logged with the first of its message."""
        with self._lock:
            known = self._latest.get(kind, (0.0, ""))[1] == message
            self._counts[kind] = self._counts.get(kind, 0) + n
            self._latest[kind] = self._clock(), message
        self._noticed(kind, n)
        log.error("%s: %s", kind, message, exc_info=None if known else error)

    def recent(self) -> dict[str, str]:
        """The latest failure of each kind within REMEMBERED_S, with the number of all since the worker started."""
        with self._lock:
            return {
                kind: f"{message} ({self._counts[kind]:,} since the worker started)"
                for kind, (at, message) in self._latest.items()
                if self._clock() - at < REMEMBERED_S
            }
