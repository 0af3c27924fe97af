"""Seconds that the stream is behind while something breaks."""

from __future__ import annotations

import threading
import time

from stores import Profiles, Unreachable

EVERY_S = 0.1
BEHIND_S = 1.0
"""The stream has caught up when it serves what was due a second ago."""


class Watch:
    """Looks ten times a second, in a thread of its own, at how many events of a replay can be served.

    As a context it stops at the end, also if the replay fails.

    Args:
        profiles: the state.
        events: events of the replay.
        rate: events due a second.
    """

    def __init__(self, profiles: Profiles, events: int, rate: float) -> None:
        self._profiles = profiles
        self._events = events
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._began = 0.0
        self._behind: list[tuple[float, float]] = []

    def start(self, began: float) -> None:
        """Begin to look; `began` is when the first event was due (`time.monotonic`)."""
        self._began = began
        self._thread.start()

    @property
    def started(self) -> bool:
        """True from `start` on."""
        return self._thread.ident is not None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self.started:
            self._thread.join()

    def caught_up(self) -> bool:
        """Return True if all events of the replay can be served."""
        return self._served() >= self._events

    def caught_up_s(self, since: float) -> float:
        """Seconds from `since` until the stream was never again behind by more than BEHIND_S."""
        late = [at for at, behind in self._behind if behind > BEHIND_S]
        return max(0.0, late[-1] + EVERY_S - since) if late else 0.0

    def _look(self) -> None:
        served = 0
        while not self._stopping.wait(EVERY_S):
            now = time.monotonic()
            due = min(self._events, int((now - self._began) * self._rate))
            served = max(served, self._served())
            # Once the last event is due, the age of the oldest that waits goes on growing with the time.
            late = now - self._began - served / self._rate
            self._behind.append((now, late if served < due else 0.0))

    def _served(self) -> int:
        """Good events that can be served; those that Redis does not tell of now are none."""
        try:
            positions, dead = self._profiles.visible_offsets(), self._profiles.dead()
        except Unreachable:
            return 0
        return sum(0 if at is None else at + 1 for at in positions) - sum(dead.values())
