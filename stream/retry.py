"""Tries again with growing pauses while a store does not answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_random_exponential

from stores import NotPublished, ShardLost, Unreachable

T = TypeVar("T")

log = logging.getLogger("reelstream.stream")


class Retrier:
    """Calls a function until the stores answer.

    Args:
        longest_s: longest pause between two tries, in seconds.
        noticed: called with the name of what is tried each time that a try fails.
    """

    def __init__(self, longest_s: float, noticed: Callable[[str], None]) -> None:
        self._noticed = noticed
        self._waiting: dict[str, str] = {}
        self.stopping = threading.Event()
        self._retrying = Retrying(
            retry=retry_if_exception_type((Unreachable, ShardLost, NotPublished)),
            wait=wait_random_exponential(multiplier=0.1, max=longest_s),
            stop=stop_when_event_set(self.stopping),
            reraise=True,
        )

    def __call__(self, what: str, function: Callable[[], T]) -> T:
        """The function's result; its error once the worker stops."""

        def notice(state: RetryCallState) -> None:
            self._noticed(what)
            error = state.outcome.exception() if state.outcome else None
            self._waiting[what] = str(error)
            if state.attempt_number in (1, 10) or state.attempt_number % 100 == 0:
                log.warning("%s: %s; trying again (attempt %d)", what, error, state.attempt_number)

        try:
            return self._retrying.copy(before_sleep=notice)(function)
        finally:
            self._waiting.pop(what, None)

    def waits_for(self) -> str | None:
        """The operation that failed and is being retried; None if there is none."""
        return "; ".join(f"{what}: {error}" for what, error in list(self._waiting.items())) or None
