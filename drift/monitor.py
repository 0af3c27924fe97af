"""The monitor: takes events in, gives windows, alarms and figures out. Pure, and a function of what it is given.

Everything that it knows can be packed and taken up again at any point, with the same results as without the break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from drift.alarm_rules import AlarmRules
from drift.alarms import Alarms, Moment
from drift.budget import Budget
from drift.change import Change
from drift.checks import Check, Checks
from drift.events import Events, Scored
from drift.layout import Ints, Layout
from drift.quality import Quality
from drift.records import Alarm, Detector, DriftNow, DriftUpdate, DriftWindow, PartitionCounts, TrainedQuality
from drift.reference import Reference
from drift.series import LABEL, LOGLOSS, Series
from drift.series_records import series_histogram, series_now
from drift.strides import Strides
from drift.thresholds import ENOUGH
from settings import ReelstreamError

VERSION = 2
"""Version of the packed state."""

SCORE = "score"


class StateError(ReelstreamError):
    """A packed state that cannot be read: of another version of this code or of river, or of other series."""


@dataclass(frozen=True)
class Plan:
    """The parameters of windows and alarms.

    Attributes:
        window: events of a window. strides: strides of a window; each ends with a check of all series. stride_s:
        seconds after which a stride ends though it is not full, once windows of such strides say anything; by the
            clock of the feature log.
        patience: checks in a row at normal that close an alarm.
        false_alarms_per_week: budget of the whole system.
    """

    window: int = 1000
    strides: int = 4
    stride_s: float = 300.0
    patience: int = 4
    false_alarms_per_week: float = 1.0


class Monitor:
    """Watches the series of one run.

    Args:
        run: its id.
        series: of the data set.
        reference: of the run.
        plan: how to watch.

    Attributes:
        events: events counted since the beginning.
        last: by partition, the last offset counted.
    """

    def __init__(self, run: str, series: Series, reference: Reference, plan: Plan) -> None:
        self.run = run
        self._series, self._reference, self._plan = series, reference, plan
        self._layout = Layout(series, reference)
        self._strides = Strides(self._layout, plan.strides)
        self._checks = Checks(self._layout)
        self._budget = Budget(plan.false_alarms_per_week, plan.stride_s)
        self._alarms = Alarms(plan.patience, plan.window)
        self._rules = AlarmRules(list(self._layout.series), self._checks, self._alarms)
        self._changes = {LABEL: Change("adwin"), LOGLOSS: Change("adwin"), SCORE: Change("kswin")}
        self._changed: dict[str, int] = {}
        self._quality = Quality()
        self._cumulative: dict[int, Ints] = {}
        self._counted: dict[int, int] = {}
        self._touched: set[int] = set()
        self._latest: tuple[Ints, Check] | None = None
        self._of_before: list[Alarm] = []
        self._event_ts = 0
        self._wall_ts = 0.0
        self.events = 0
        self.last: dict[int, int] = {}

    def add(self, events: Events, scored: Scored, update: DriftUpdate) -> int:
        """Count events that are not counted yet; what follows from them is put into `update`.

        Returns:
            How many were new.
        """
        fresh = int(np.searchsorted(events.offset, self.last.get(events.partition, -1), side="right"))
        if fresh == len(events):
            return 0
        waited = events.wall_ts - self._strides.since > self._plan.stride_s
        if waited and self._strides.filled >= ENOUGH // self._plan.strides:
            self._close(update)
        self._wall_ts = max(self._wall_ts, events.wall_ts)
        places = self._layout.places(events, scored)
        at, full = fresh, self._plan.window // self._plan.strides
        while at < len(events):
            end = min(len(events), at + full - self._strides.filled)
            self._strides.add(places[at:end], events.wall_ts)
            self._watch(events, scored, at, end, update)
            at = end
            if self._strides.filled == full:
                self._close(update)
        self._count(events, places[fresh:])
        return len(events) - fresh

    def finish(self, update: DriftUpdate) -> DriftUpdate:
        """Put in what is told once a batch: state, counts, and how all series stand where a window has ended."""
        at, exact = self._moment(), self._series.names[: self._series.exact]
        update.closed += [
            # Events may be counted from 0 since it opened.
            alarm.closed_at(max(alarm.opened, at.events), at.wall_ts, at.event_ts)
            for alarm in self._of_before
        ]
        self._of_before = []
        for partition in sorted(self._touched):
            counts = self._cumulative[partition]
            update.counts[partition] = PartitionCounts(
                last=self.last[partition],
                events=self._counted[partition],
                series={name: self._layout.of(name, counts).tolist() for name in exact},
            )
        self._touched.clear()
        if self._latest is not None:
            self._show(*self._latest, update)
            self._latest = None
        update.state = self.pack()
        return update

    def _show(self, window: Ints, check: Check, update: DriftUpdate) -> None:
        stand = [
            series_now(self._series, number, histogram, self._layout.of(name, window), check, self._alarms.since(name))
            for number, (name, histogram) in enumerate(self._layout.series.items())
            if check.enough[number]
        ]
        update.now = DriftNow(
            events=self.events,
            wall_ts=self._wall_ts,
            event_ts=self._event_ts,
            window=self._plan.window,
            run=self.run,
            series=sorted(stand, key=lambda each: each.ratio, reverse=True),
        )
        update.histograms = [
            series_histogram(histogram, name, self._layout.of(name, window))
            for name, histogram in self._layout.series.items()
        ]
        update.trained = TrainedQuality(run=self.run, **self._reference.quality)

    def close_earlier(self, alarms: Sequence[Alarm]) -> None:
        """Close alarms that were opened before this monitor began; they are told with the next batch."""
        self._of_before += alarms

    @property
    def open_alarms(self) -> list[Alarm]:
        """The alarms that are open."""
        return list(self._alarms.open.values())

    def pack(self) -> bytes:
        """All that it knows."""
        state = {
            "version": VERSION,
            "budget": self._budget.pack(),
            "run": self.run,
            "events": self.events,
            "event_ts": self._event_ts,
            "wall_ts": self._wall_ts,
            "last": list(self.last.items()),
            "counted": list(self._counted.items()),
            "cumulative": [(partition, counts.tobytes()) for partition, counts in self._cumulative.items()],
            "closed": [stride.tobytes() for stride in self._strides.closed],
            "open": self._strides.open.tobytes(),
            "filled": self._strides.filled,
            "since": self._strides.since,
            "alarms": self._alarms.pack(),
            "changes": {name: change.pack() for name, change in self._changes.items()},
            "changed": self._changed,
            "quality": self._quality.pack(),
        }
        packed: bytes = msgpack.packb(state)
        return packed

    @classmethod
    def unpack(cls, packed: bytes, run: str, series: Series, reference: Reference, plan: Plan) -> Monitor:
        """Continue from what `pack` gave.

        Where that watched another run, the offsets and the quality stay, alarms close, and counts start over.

        Raises:
            StateError: it cannot be read, whatever the reason.
        """
        monitor = cls(run, series, reference, plan)
        try:
            state = msgpack.unpackb(packed)
            if state["version"] != VERSION:
                raise ValueError(f"version {state['version']}, not {VERSION}")
            monitor.events, monitor._event_ts, monitor._wall_ts = state["events"], state["event_ts"], state["wall_ts"]
            monitor.last = dict(state["last"])
            monitor._quality.restore(state["quality"])
            if state["run"] == run:
                monitor._restore(state)
            else:
                before = Alarms(plan.patience, plan.window)
                before.restore(state["alarms"])
                monitor.close_earlier(list(before.open.values()))
        except Exception as error:  # msgpack, pickle, river and pydantic each raise their own
            raise StateError(f"the state of drift cannot be read: {type(error).__name__}: {error}") from error
        return monitor

    def _restore(self, state: dict[str, Any]) -> None:
        self._counted = dict(state["counted"])
        self._cumulative = {partition: _counts(packed).copy() for partition, packed in state["cumulative"]}
        self._strides.closed.extend(_counts(stride) for stride in state["closed"])
        self._strides.open = _counts(state["open"]).copy()
        known = [*self._cumulative.values(), *self._strides.closed, self._strides.open]
        if {len(counts) for counts in known} != {self._layout.total}:
            raise ValueError("it counts other bins than the reference has")
        self._budget.restore(state["budget"])
        self._strides.filled, self._strides.since = state["filled"], state["since"]
        self._alarms.restore(state["alarms"])
        self._changes = {name: Change.unpack(change) for name, change in state["changes"].items()}
        self._changed = state["changed"]

    def _count(self, events: Events, places: Ints) -> None:
        partition = events.partition
        counts = self._layout.count(places)
        counts[self._layout.exact :] = 0
        self._cumulative[partition] = self._cumulative.get(partition, np.zeros_like(counts)) + counts
        self._counted[partition] = self._counted.get(partition, 0) + len(places)
        self.last[partition] = int(events.offset[-1])
        self._touched.add(partition)

    def _watch(self, events: Events, scored: Scored, at: int, end: int, update: DriftUpdate) -> None:
        """The sequences that are watched event by event."""
        rows = {int(place): row for row, place in enumerate(scored.place)}
        for place in range(at, end):
            self.events += 1
            self._quality.seen += 1
            self._event_ts = int(events.ts[place])
            liked = bool(events.liked[place])
            self._sense(LABEL, float(liked), update)
            row = rows.get(place)
            if row is None:
                continue
            _, like, score = scored.values[row].tolist()
            self._quality.add(scored.run, liked, like, int(scored.rank[row]), scored.segments[row])
            if np.isfinite(like) and np.isfinite(score):
                self._sense(LOGLOSS, -float(np.log(np.clip(like if liked else 1 - like, 1e-7, 1.0))), update)
                self._sense(SCORE, score, update)

    def _sense(self, series: str, value: float, update: DriftUpdate) -> None:
        change = self._changes[series]
        means = change.add(value)
        if means is None:
            return
        before, after = means
        self._changed[series] = self.events
        detector: Detector = change.detector
        if (series, detector) not in self._alarms.open:
            update.opened.append(self._alarms.raised(series, detector, after, self._moment(), mean_before=before))

    def _moment(self) -> Moment:
        return Moment(self.events, self._wall_ts, self._event_ts)

    def _close(self, update: DriftUpdate) -> None:
        """End a stride, and check all series."""
        self._strides.close()
        at = self._moment()
        window = self._strides.windows()
        alpha = self._budget.spend(at.wall_ts)
        check = self._checks.check(window, alpha)
        self._latest = window, check
        self._rules.apply(check, alpha, at, update)
        shown = [(number, name) for number, name in enumerate(self._layout.series) if check.enough[number]]
        update.windows.append(
            DriftWindow(
                events=at.events,
                wall_ts=at.wall_ts,
                event_ts=at.event_ts,
                psi={name: float(check.psi[number]) for number, name in shown},
                threshold={name: float(check.threshold[number]) for number, name in shown},
            )
        )
        for (series, detector), alarm in list(self._alarms.open.items()):
            last = self._changed.get(series, alarm.opened)
            if detector in ("adwin", "kswin") and at.events - last >= self._plan.window:
                update.closed.append(self._alarms.closed(series, detector, at))
        quality = self._quality.window(at)
        if quality is not None:
            update.quality.append(quality)


def _counts(packed: bytes) -> npt.NDArray[np.int64]:
    return np.frombuffer(packed, dtype=np.int64)
