"""Circuit breakers: a store that keeps failing is not asked again for a moment, so that requests do not wait for it.

`circuitbreaker` and not `pybreaker`, which holds a lock during each call and so lets one request at a time to a store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from circuitbreaker import CircuitBreaker

from stores import StoreError, Unreachable

T = TypeVar("T")

log = logging.getLogger("reelstream.api")


class Breakers:
    """One breaker for each store; safe to share between threads.

    Args:
        failures: failures in a row after which a store is not asked.
        pause_s: seconds until it is asked again.
    """

    def __init__(self, failures: int, pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._breakers: dict[str, Any] = {}
        self._asks: dict[str, threading.Lock] = {}
        self._failing: set[str] = set()

    def call(self, store: str, function: Callable[[], T]) -> T:
        """The function's result.

        Raises:
            Unreachable: if the store does not answer, or is not asked at the moment.
        """
        breaker = self._breakers.get(store) or self._breakers.setdefault(store, self._new(store))
        if breaker.closed:
            return self._ask(breaker, function)
        # After the pause one request asks whether the store is back; the others do not wait for what it finds.
        asks = self._asks.setdefault(store, threading.Lock())
        if breaker.opened or not asks.acquire(blocking=False):
            raise Unreachable(f"{store} failed {self._failures} times in a row and is not asked for a moment")
        try:
            return self._ask(breaker, function)
        finally:
            asks.release()

    def _ask(self, breaker: Any, function: Callable[[], T]) -> T:
        try:
            result: T = breaker.call(function)
        except StoreError as error:
            if breaker.opened:
                log.warning("%s is left alone for %.0f s: %s", breaker.name, self._pause_s, error)
            elif breaker.name not in self._failing:
                log.warning("%s is missing from an answer: %s", breaker.name, error)
            self._failing.add(breaker.name)
            raise
        self._failing.discard(breaker.name)
        return result

    def _new(self, store: str) -> CircuitBreaker:
        return CircuitBreaker(
            failure_threshold=self._failures,
            recovery_timeout=self._pause_s,
            expected_exception=Unreachable,
            name=store,
        )
