"""Polls a component in a thread of its own, so that no request waits for one that is down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stores import StoreError

log = logging.getLogger("reelstream.pages")

T = TypeVar("T")

EVERY_S = 1.0
"""Seconds between two questions."""

STALE_S = 3.0
"""Seconds that an answer may take before the part counts as away."""

REST_AFTER_S = 60.0
"""Seconds without a viewer after which the threads rest."""


class Audience:
    """Viewers of the pages; the threads of the pollers rest while there is none."""

    def __init__(self) -> None:
        self._last = 0.0
        self._arrived = threading.Event()

    def looks(self) -> None:
        """Somebody looks."""
        self._last = time.monotonic()
        self._arrived.set()

    def wait(self) -> None:
        """Rest until somebody looks, where nobody has for a while."""
        if time.monotonic() - self._last >= REST_AFTER_S:
            self._arrived.clear()
            if time.monotonic() - self._last >= REST_AFTER_S:
                self._arrived.wait()


@dataclass(frozen=True)
class Seen(Generic[T]):
    """The latest answer of a component.

    Attributes:
        value: its last answer, None before the first.
        age_s: seconds since that answer, None before the first.
        took_ms: milliseconds that the answer took.
        error: why it does not answer; None where it does.
    """

    value: T | None
    age_s: float | None
    took_ms: float | None
    error: str | None

    @property
    def fresh(self) -> T | None:
        """The answer, None where the part is down."""
        return None if self.error else self.value


class Poller(Generic[T]):
    """Asks a part every second while somebody looks.

    Args:
        name: of the part, as people know it.
        ask: puts the question; StoreError says that the part is down.
        audience: tells whether somebody looks.
    """

    def __init__(self, name: str, ask: Callable[[], T], audience: Audience) -> None:
        self.name = name
        self._ask = ask
        self._audience = audience
        self._value: T | None = None
        self._at: float | None = None
        self._took_ms: float | None = None
        self._error: str | None = None
        self._asking_since: float | None = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def look(self) -> Seen[T]:
        """Return the latest answer as a viewer; the first call starts the thread."""
        self._audience.looks()
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"poll {self.name}", daemon=True)
                self._thread.start()
        return self.glance()

    def glance(self) -> Seen[T]:
        """Return the latest answer without counting as a viewer."""
        now = time.monotonic()
        error, since = self._error, self._asking_since
        if since is not None and now - since > STALE_S:
            error = f"no answer for {now - since:.0f} s"
        return Seen(self._value, None if self._at is None else now - self._at, self._took_ms, error)

    def _run(self) -> None:
        while True:
            self._audience.wait()
            began = self._asking_since = time.monotonic()
            try:
                self._value = self._ask()
                self._at = time.monotonic()
                self._took_ms = 1000 * (self._at - began)
                self._error = None
            except StoreError as error:
                self._error = str(error)
            except Exception as error:
                # The thread must continue: a page that stops moving says less than one that names the error.
                if self._error is None:
                    log.exception("unexpected error")
                self._error = f"an unexpected error ({type(error).__name__}); the log of the API has it"
            finally:
                self._asking_since = None
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
