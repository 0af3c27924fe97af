"""The monitor: takes events in, gives windows, alarms and figures out. Pure, and a function of what it is given.

Everything that it knows can be packed and taken up again at any point, with the same results as without the break.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from drift.alarms import Alarms, Detector, Moment
from drift.change import Change
from drift.divergence import psi
from drift.events import Events, Scored
from drift.histogram import ABOVE, BELOW, MISSING
from drift.layout import Ints, Layout
from drift.noise import ENOUGH, FEWEST
from drift.panes import Panes
from drift.quality import Quality
from drift.reference import Reference
from drift.series import EXACT, LABEL, SERIES
from drift.shown import beside, stands
from stores.drift import (
    Alarm,
    DriftNow,
    DriftUpdate,
    DriftWindow,
    PartitionCounts,
    TrainedQuality,
)

STRAY = 0.02
"""Share of values that may be missing, or out of range, beyond what was so at training."""

LOGLOSS = "logloss"
SCORE = "score"


@dataclass(frozen=True)
class Plan:
    """How windows are cut and alarms raised.

    Attributes:
        window: events of a window.
        panes: panes of a window; each ends with a look at all series.
        pane_s: seconds after which a pane ends though it is not full, once windows of such panes say anything; by the
            clock of the feature log.
        patience: windows in a row that open or close an alarm.
    """

    window: int = 1000
    panes: int = 4
    pane_s: float = 300.0
    patience: int = 2


class Monitor:
    """Watches the series of one run.

    Args:
        run: its id.
        reference: its reference.
        plan: how to watch.

    Attributes:
        events: events counted since the beginning.
        last: by partition, the last offset counted.
    """

    def __init__(self, run: str, reference: Reference, plan: Plan) -> None:
        self.run = run
        self._reference, self._plan = reference, plan
        self._layout = Layout(reference)
        self._panes = Panes(self._layout, plan.panes)
        self._alarms = Alarms(plan.patience)
        self._changes = {LABEL: Change("adwin"), LOGLOSS: Change("adwin"), SCORE: Change("kswin")}
        self._changed: dict[str, int] = {}
        self._quality = Quality()
        self._cumulative: dict[int, Ints] = {}
        self._counted: dict[int, int] = {}
        self._touched: set[int] = set()
        self._latest: dict[str, Ints] | None = None
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
        waited = events.wall_ts - self._panes.since > self._plan.pane_s
        if waited and self._panes.filled >= ENOUGH // self._plan.panes:
            self._close(update)
        self._wall_ts = max(self._wall_ts, events.wall_ts)
        places = self._layout.places(events, scored)
        at, full = fresh, self._plan.window // self._plan.panes
        while at < len(events):
            end = min(len(events), at + full - self._panes.filled)
            self._panes.add(places[at:end], events.wall_ts)
            self._watch(events, scored, at, end, update)
            at = end
            if self._panes.filled == full:
                self._close(update)
        self._count(events, places[fresh:])
        return len(events) - fresh

    def finish(self, update: DriftUpdate) -> DriftUpdate:
        """Put in what is told once a batch: state, counts, and how all series stand where a window has ended."""
        update.closed += self._of_before
        self._of_before = []
        for partition in sorted(self._touched):
            counts = self._cumulative[partition]
            update.counts[partition] = PartitionCounts(
                last=self.last[partition],
                events=self._counted[partition],
                series={name: self._layout.of(name, counts).tolist() for name in SERIES[:EXACT]},
            )
        self._touched.clear()
        if self._latest is not None:
            stand = [
                stands(name, self._layout.series[name], counts, self._alarms.since(name))
                for name, counts in self._latest.items()
                if counts.sum() >= FEWEST
            ]
            update.now = DriftNow(
                events=self.events,
                wall_ts=self._wall_ts,
                event_ts=self._event_ts,
                window=self._plan.window,
                run=self.run,
                series=sorted(stand, key=lambda each: each.ratio, reverse=True),
            )
            update.histograms = [beside(self._layout.series[name], name, of) for name, of in self._latest.items()]
            update.trained = TrainedQuality(run=self.run, **self._reference.quality)
            self._latest = None
        update.state = self.pack()
        return update

    def pack(self) -> bytes:
        """All that it knows."""
        state = {
            "run": self.run,
            "events": self.events,
            "event_ts": self._event_ts,
            "wall_ts": self._wall_ts,
            "last": list(self.last.items()),
            "counted": list(self._counted.items()),
            "cumulative": [(partition, counts.tobytes()) for partition, counts in self._cumulative.items()],
            "closed": [pane.tobytes() for pane in self._panes.closed],
            "open": self._panes.open.tobytes(),
            "filled": self._panes.filled,
            "since": self._panes.since,
            "alarms": self._alarms.pack(),
            "changes": {name: change.pack() for name, change in self._changes.items()},
            "changed": self._changed,
            "quality": self._quality.pack(),
        }
        packed: bytes = msgpack.packb(state)
        return packed

    @classmethod
    def unpack(cls, packed: bytes, run: str, reference: Reference, plan: Plan) -> Monitor:
        """Go on from what `pack` gave.

        Where that watched another run, the offsets and the quality stay, alarms close, and counts begin anew.
        """
        made, state = cls(run, reference, plan), msgpack.unpackb(packed)
        made.events, made._event_ts, made._wall_ts = state["events"], state["event_ts"], state["wall_ts"]
        made.last = dict(state["last"])
        made._quality.restore(state["quality"])
        if state["run"] == run:
            made._restore(state)
        else:
            before = Alarms(plan.patience)
            before.restore(state["alarms"])
            made._of_before = [before.closed(*key, made._moment()) for key in list(before.open)]
        return made

    def _restore(self, state: dict[str, Any]) -> None:
        self._counted = dict(state["counted"])
        self._cumulative = {partition: _counts(packed).copy() for partition, packed in state["cumulative"]}
        self._panes.closed.extend(_counts(pane) for pane in state["closed"])
        self._panes.open = _counts(state["open"]).copy()
        self._panes.filled, self._panes.since = state["filled"], state["since"]
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
        """What is watched event by event."""
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
            update.opened.append(self._alarms.raised(series, detector, after, before, self._moment()))

    def _moment(self) -> Moment:
        return Moment(self.events, self._wall_ts, self._event_ts)

    def _close(self, update: DriftUpdate) -> None:
        """End a pane, and look at all series."""
        self._panes.close()
        at = self._moment()
        self._latest = self._panes.windows()
        window = DriftWindow(events=at.events, wall_ts=at.wall_ts, event_ts=at.event_ts, psi={}, band={})
        for name, counts in self._latest.items():
            if int(counts.sum()) >= FEWEST:
                self._look(name, counts, window, at, update)
        update.windows.append(window)
        for (series, detector), alarm in list(self._alarms.open.items()):
            last = self._changed.get(series, alarm.opened)
            if detector in ("adwin", "kswin") and at.events - last >= self._plan.window:
                update.closed.append(self._alarms.closed(series, detector, at))
        quality = self._quality.window(at)
        if quality is not None:
            update.quality.append(quality)

    def _look(self, name: str, counts: Ints, window: DriftWindow, at: Moment, update: DriftUpdate) -> None:
        histogram = self._layout.series[name]
        shares = counts / counts.sum()
        window.psi[name] = float(psi(histogram.shares, counts))
        window.band[name] = histogram.noise / float(counts.sum())
        then_missing = float(histogram.shares[MISSING])
        measured: list[tuple[Detector, float, float]] = [
            ("psi", window.psi[name], window.band[name]),
            ("missing", float(shares[MISSING]), then_missing + STRAY),
            ("range", float(shares[BELOW] + shares[ABOVE]), STRAY),
        ]
        for detector, value, band in measured:
            alarm = self._alarms.judge(name, detector, value, band, at)
            if alarm is not None:
                _tell(alarm, update)


def _tell(alarm: Alarm, update: DriftUpdate) -> None:
    if alarm.closed is None:
        update.opened.append(alarm)
    else:
        update.closed.append(alarm)


def _counts(packed: bytes) -> npt.NDArray[np.int64]:
    return np.frombuffer(packed, dtype=np.int64)
