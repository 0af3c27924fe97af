"""A fault that happens in the middle of a replay."""

from __future__ import annotations

import threading
from collections.abc import Callable

LONGEST_S = 300.0
"""Seconds in which every fault is over; one that takes longer never ends."""


class Happening:
    """Makes a fault happen once, in a daemon thread: one that never ends does not keep the process from ending.

    Args:
        happen: breaks something, and returns once that is over.
    """

    def __init__(self, happen: Callable[[], None]) -> None:
        self._happen = happen
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Let the fault happen, unless it happens or has happened already."""
        if self._thread.ident is None:
            self._thread.start()

    def wait(self, seconds: float = LONGEST_S) -> None:
        """Wait until the fault is over.

        Raises:
            AssertionError: if it never began, failed, or is not over in time.
        """
        assert self._thread.ident is not None, "the replay ended before the fault began"
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the fault is not over after {seconds:g} s"
        if self._error is not None:
            raise AssertionError(f"the fault itself failed: {self._error!r}") from self._error

    def _run(self) -> None:
        try:
            self._happen()
        except BaseException as error:
            self._error = error
