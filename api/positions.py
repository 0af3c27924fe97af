"""Waiting for a position in the log: only where the log has assigned it, and only by few requests at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from settings import KafkaSettings
from stores import Log, Profiles, StoreError, ToldOffsets

LOOK_S = 0.002
SLOWEST_LOOK_S = 0.05
SLOWDOWN = 0.05
"""Seconds between two looks at how far the stream is: at first, at most, and as a share of the time waited so far.

While workers are heard saying how far they are, a look is made as soon as they do, or at the slowest pace.
"""

ASK_EVERY_S = 0.02
RETRY_S = 0.5
"""Seconds between two questions to Kafka, and after one that it did not answer."""


class LogEnds:
    """The ends of the partitions, as far as requests need to know them; a thread of its own asks Kafka for all at once.

    Ends only grow while a log exists, so a position before a known end needs no question. Kafka is asked only for
    positions beyond, and one answer serves every request that asked before the question.

    Args:
        settings: Kafka.
        partitions: tells how many the log has.
    """

    def __init__(self, settings: KafkaSettings, partitions: Callable[[], int]) -> None:
        self._settings, self._partitions = settings, partitions
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._ends: Mapping[int, int] = {}
        self._answered_at = float("-inf")
        self._thread: threading.Thread | None = None

    def note(self, partition: int, offset: int) -> None:
        """Remember that the log has assigned an offset."""
        with self._lock:
            if offset >= self._ends.get(partition, 0):
                self._ends = {**self._ends, partition: offset + 1}

    def holds(self, partition: int, offset: int, since: float) -> bool | None:
        """Return True if the log has assigned an offset; None until Kafka has answered a request sent after `since`.

        Args:
            partition: the partition.
            offset: the offset.
            since: when the caller began to wait (`time.monotonic`).
        """
        with self._lock:
            if offset < self._ends.get(partition, 0):
                return True
            if self._answered_at > since:
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._answer, name="log ends", daemon=True)
                self._thread.start()
        self._wanted.set()
        return None

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _answer(self) -> None:
        log: Log | None = None
        while self._wanted.wait() and not self._stopping.is_set():
            self._wanted.clear()
            asked_at = time.monotonic()
            try:
                log = log or Log(self._settings)
                ends = log.ends()
                if len(ends) < self._partitions():
                    # It knows the partitions that there were when it was made.
                    log.close()
                    log = None
                with self._lock:
                    self._ends, self._answered_at = ends, asked_at
                self._stopping.wait(ASK_EVERY_S)
            except StoreError:
                if log is not None:
                    with suppress(Exception):
                        log.close()
                log = None
                self._stopping.wait(RETRY_S)
        if log is not None:
            log.close()


class Waits:
    """Waits of requests for the stream.

    Args:
        profiles: gives the users of the generation that answers are made with, which tell how far the stream is.
        told: hears how far it is.
        ends: tell how far the log is.
        places: requests that may wait at once; one more does not wait, so that waiting never takes all threads.
        timeout_s: longest wait.
    """

    def __init__(
        self, profiles: Callable[[], Profiles], told: ToldOffsets, ends: LogEnds, places: int, timeout_s: float
    ) -> None:
        self._profiles, self._told = profiles, told
        self._ends = ends
        self._timeout_s = timeout_s
        self._places = threading.BoundedSemaphore(places)

    def wait_for(self, shard: int, offset: int, began: float | None = None) -> bool:
        """Wait until the stores hold an offset of a shard; False where that is not so in time.

        Returns at once where the log has not assigned the offset, or where too many requests wait already.

        Args:
            shard: the shard.
            offset: the offset, which the log assigned before the wait began, if it did at all.
            began: when that was (`time.monotonic`); None: now. Requests that wait together have one time for all.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if self._profiles().visible_offset(shard) >= offset:
            return True
        if not self._places.acquire(blocking=False):
            return False
        try:
            return self._wait(shard, offset, time.monotonic() if began is None else began)
        finally:
            self._places.release()

    def _wait(self, shard: int, offset: int, began: float) -> bool:
        while True:
            held = self._ends.holds(shard, offset, began)
            # Looked at after the end: what the log holds by then may be served by now.
            if self._profiles().visible_offset(shard) >= offset:
                return True
            waited = time.monotonic() - began
            if held is False or waited > self._timeout_s:
                return False
            next_look = min(max(LOOK_S, SLOWDOWN * waited), SLOWEST_LOOK_S)
            if self._told.wait(shard, offset, SLOWEST_LOOK_S if self._told.listening and held else next_look):
                if self._profiles().visible_offset(shard) >= offset:
                    return True
                self._told.forget(shard)
