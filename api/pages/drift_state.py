"""Data of the pages Drift and Quality, from `stores.redis.drift`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.pages.poller import Audience, Poller, Seen
from drift.records import Acknowledgement, Alarm, DriftNow, DriftWindow, QualityWindow, SeriesHistogram, TrainedQuality
from stores.redis.drift import DriftStore

WINDOWS = 240
"""Windows of the timeline that are shown."""

QUALITY_WINDOWS = 500
ALARMS = 100


@dataclass(frozen=True)
class Drift:
    """Data of the page Drift."""

    now: DriftNow | None
    timeline: list[DriftWindow]
    alarms: list[Alarm]
    acknowledged: dict[str, Acknowledgement]


@dataclass(frozen=True)
class Quality:
    """Data of the page Quality: the ranker on the stream and at training."""

    windows: list[QualityWindow]
    trained: TrainedQuality | None


class DriftState:
    """Watches what drift has found; reads the timeline only when there is a new window."""

    def __init__(self, store: DriftStore, audience: Audience) -> None:
        self._store = store
        self._timeline: tuple[tuple[int, float] | None, list[DriftWindow]] = None, []
        self.drift = Poller("drift", self._ask_drift, audience)
        self.quality = Poller("quality", self._ask_quality, audience)

    def look_at_drift(self, since: int) -> dict[str, Any]:
        """Return the latest window of all series, and the windows after `since` counted events."""
        seen = self.drift.look()
        found = seen.value or Drift(None, [], [], {})
        return {
            **_told(seen),
            "state": found.now.model_dump() if found.now else None,
            "windows": [_window(window) for window in found.timeline if window.events > since],
            "alarms": [alarm.model_dump() | {"cause": alarm.cause} for alarm in found.alarms],
            "acknowledged": {cause: said.model_dump() for cause, said in found.acknowledged.items()},
        }

    def look_at_quality(self, since: int) -> dict[str, Any]:
        """The figures at training, and the windows after `since` counted events."""
        seen = self.quality.look()
        found = seen.value or Quality([], None)
        last = found.windows[-1].events if found.windows else 0
        windows = [window.model_dump(exclude={"segments"}) for window in found.windows if window.events > since]
        return {
            **_told(seen),
            "events": last,
            "trained": found.trained.model_dump() if found.trained else None,
            "windows": windows,
            "segments": {name: each.model_dump() for name, each in found.windows[-1].segments.items()}
            if found.windows
            else {},
        }

    def histogram(self, series: str) -> SeriesHistogram | None:
        """The latest window of a series next to the reference; None where there is none.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._store.histogram(series)

    def _ask_drift(self) -> Drift:
        now = self._store.now()
        which = (now.events, now.wall_ts) if now else None
        if which != self._timeline[0]:
            self._timeline = which, self._store.timeline(WINDOWS)
        return Drift(now, self._timeline[1], self._store.alarms(ALARMS), self._store.acknowledged())

    def _ask_quality(self) -> Quality:
        return Quality(self._store.quality(QUALITY_WINDOWS), self._store.trained())


def _told(seen: Seen[Any]) -> dict[str, Any]:
    return {"known": seen.value is not None, "error": seen.error}


def _window(window: DriftWindow) -> dict[str, Any]:
    return {
        "events": window.events,
        "wall_ts": window.wall_ts,
        "event_ts": window.event_ts,
        "psi": {name: round(value, 4) for name, value in window.psi.items()},
        "threshold": {name: round(value, 4) for name, value in window.threshold.items()},
    }
