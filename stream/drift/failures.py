"""The alarm about drift itself: open from a failure in watching it until a batch is counted without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from drift.records import Alarm, DriftUpdate

SERIES = "drift"
DETECTOR = "failure"


class Failures:
    """Opens and closes the alarm with the batches that are counted.

    Args:
        clock: gives unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: Alarm | None = None
        self._new = 0

    def adopt(self, alarms: Sequence[Alarm]) -> None:
        """Take up the alarm where it is among those that are open."""
        self._open = next((alarm for alarm in alarms if alarm.detector == DETECTOR), self._open)

    def forget(self) -> None:
        """Take note that the stored alarms are gone."""
        self._open = None

    def happened(self) -> None:
        """Take note of a failure."""
        self._new += 1

    def changes(self) -> tuple[list[Alarm], list[Alarm]]:
        """The alarm where it opens, and where it closes, with the batch that is counted now."""
        now = self._clock()
        if self._new and self._open is None:
            return [_alarm(self._new, now)], []
        if not self._new and self._open is not None:
            return [], [self._open.closed_at(self._open.opened, now, int(now))]
        return [], []

    def written(self, update: DriftUpdate) -> None:
        """Take note that what a batch changes is written."""
        self._new = 0
        for alarm in update.opened + update.closed:
            if alarm.detector == DETECTOR:
                self._open = alarm if alarm.closed is None else None


def _alarm(failures: int, now: float) -> Alarm:
    return Alarm(
        series=SERIES,
        detector=DETECTOR,
        opened=0,
        opened_wall_ts=now,
        opened_event_ts=int(now),
        value=float(failures),
    )
