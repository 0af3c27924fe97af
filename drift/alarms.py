"""Alarms: one opens after some windows in a row outside the band, and closes after as many back inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from stores.drift import Alarm

Detector = Literal["psi", "missing", "range", "adwin", "kswin", "failure"]


@dataclass(frozen=True)
class Moment:
    """When something was seen: events counted so far, and the time in unix seconds, by the wall and in event time."""

    events: int
    wall_ts: float
    event_ts: int


class Alarms:
    """The open alarms, and how long each series has been outside or inside its band.

    Args:
        patience: windows in a row that open or close an alarm.

    Attributes:
        open: by (series, detector).
        streaks: windows in a row by (series, detector): above 0 outside the band, below 0 inside.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.open: dict[tuple[str, Detector], Alarm] = {}
        self.streaks: dict[tuple[str, Detector], int] = {}

    def judge(self, series: str, detector: Detector, value: float, band: float, at: Moment) -> Alarm | None:
        """Take what a window measured; the alarm that opens or closes with it."""
        key = series, detector
        before, outside = self.streaks.get(key, 0), value > band
        streak = max(before, 0) + 1 if outside else min(before, 0) - 1
        self.streaks[key] = max(-self._patience, min(self._patience, streak))
        if outside and streak >= self._patience and key not in self.open:
            return self.raised(series, detector, value, band, at)
        if not outside and -streak >= self._patience and key in self.open:
            return self.closed(series, detector, at)
        return None

    def raised(self, series: str, detector: Detector, value: float, band: float, at: Moment) -> Alarm:
        """Open an alarm."""
        alarm = self.open[series, detector] = Alarm(
            series=series,
            detector=detector,
            opened=at.events,
            opened_wall_ts=at.wall_ts,
            opened_event_ts=at.event_ts,
            value=value,
            band=band,
        )
        return alarm

    def closed(self, series: str, detector: Detector, at: Moment) -> Alarm:
        """Close an open alarm."""
        alarm = self.open.pop((series, detector))
        update = {"closed": at.events, "closed_wall_ts": at.wall_ts, "closed_event_ts": at.event_ts}
        return alarm.model_copy(update=update)

    def since(self, series: str) -> int | None:
        """Events counted when the oldest open alarm of a series opened; None where none is open."""
        return min((alarm.opened for (name, _), alarm in self.open.items() if name == series), default=None)

    def pack(self) -> Any:
        """All of it, in what msgpack takes."""
        streaks = [(series, detector, streak) for (series, detector), streak in self.streaks.items()]
        return [alarm.model_dump() for alarm in self.open.values()], streaks

    def restore(self, packed: Any) -> None:
        """Take up what `pack` gave."""
        alarms, streaks = packed
        for fields in alarms:
            alarm = Alarm.model_validate(fields)
            self.open[alarm.series, alarm.detector] = alarm
        self.streaks = {(series, detector): streak for series, detector, streak in streaks}
