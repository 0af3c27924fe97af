"""Load shedding: a request that would have to queue for long is refused at once, so that those that are answered are
answered in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

ARRIVED = "reelstream.arrived"
"""Key of the WSGI environment: when the request was there in full (`time.perf_counter`). What waited too long for a
thread since is refused as well."""


class Overloaded(Exception):
    """There is no place for the request now; told with Retry-After."""


class Places:
    """Places for requests at work, and a bounded wait for one.

    Args:
        places: requests at work at once.
        wait_s: longest wait for a place, in seconds.
    """

    def __init__(self, places: int, wait_s: float) -> None:
        self._free = threading.BoundedSemaphore(places)
        self._wait_s = wait_s

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            Overloaded: if none is free in time.
        """
        if not self._free.acquire(timeout=self._wait_s):
            raise Overloaded
        try:
            yield
        finally:
            self._free.release()
