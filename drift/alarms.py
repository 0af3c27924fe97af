"""Alarms: one opens at the first check over its threshold, and closes after some checks in a row back at normal.

Alarms of one cause open within a window of each other: until then the window holds both sides of the change. So an
alarm joins the newest that is still open if that opened no longer than a window ago, and both show one cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drift.records import Alarm, Detector

Key = tuple[str, Detector]


@dataclass(frozen=True)
class Moment:
    """A moment: events counted so far, and the time in unix seconds, by the wall clock and in event time."""

    events: int
    wall_ts: float
    event_ts: int


class Alarms:
    """The open alarms, and how long each has been back at normal.

    Args:
        patience: checks in a row at normal that close an alarm.
        window: events of a window.

    Attributes:
        open: by (series, detector).
        calm: checks in a row at normal, by (series, detector) of open alarms.
    """

    def __init__(self, patience: int, window: int) -> None:
        self._patience, self._window = patience, window
        self.open: dict[Key, Alarm] = {}
        self.calm: dict[Key, int] = {}

    def raised(
        self,
        series: str,
        detector: Detector,
        value: float,
        at: Moment,
        *,
        threshold: float | None = None,
        mean_before: float | None = None,
    ) -> Alarm:
        """Open an alarm."""
        newest = max(self.open.values(), key=lambda alarm: alarm.opened, default=None)
        joined = newest is not None and at.events - newest.opened <= self._window
        alarm = self.open[series, detector] = Alarm(
            series=series,
            detector=detector,
            opened=at.events,
            opened_wall_ts=at.wall_ts,
            opened_event_ts=at.event_ts,
            value=value,
            threshold=threshold,
            mean_before=mean_before,
            group=newest.cause if newest is not None and joined else "",
        )
        return alarm

    def seen(self, key: Key, normal: bool, at: Moment) -> Alarm | None:
        """Take what a check found of an open alarm; the alarm as it closes, if it does."""
        self.calm[key] = self.calm.get(key, 0) + 1 if normal else 0
        return self.closed(*key, at) if self.calm[key] >= self._patience else None

    def closed(self, series: str, detector: Detector, at: Moment) -> Alarm:
        """Close an open alarm."""
        alarm = self.open.pop((series, detector))
        self.calm.pop((series, detector), None)
        return alarm.closed_at(at.events, at.wall_ts, at.event_ts)

    def since(self, series: str) -> int | None:
        """Events counted when the oldest open alarm of a series opened; None where none is open."""
        return min((alarm.opened for (name, _), alarm in self.open.items() if name == series), default=None)

    def pack(self) -> Any:
        """Return the state as values that msgpack can pack."""
        calm = [(series, detector, checks) for (series, detector), checks in self.calm.items()]
        return [alarm.model_dump() for alarm in self.open.values()], calm

    def restore(self, packed: Any) -> None:
        """Take up what `pack` gave."""
        alarms, calm = packed
        for fields in alarms:
            alarm = Alarm.model_validate(fields)
            self.open[alarm.series, alarm.detector] = alarm
        self.calm = {(series, detector): checks for series, detector, checks in calm}
