"""What drift has found, in Redis, under one hash tag:

{drift}:position     offset in the feature log up to which events are counted
{drift}:state        the monitor's own state, as it packs itself
{drift}:now          JSON: how each series stands
{drift}:histograms   hash series -> JSON
{drift}:timeline     list of JSON, newest last
{drift}:open         hash alarm -> JSON: open alarms
{drift}:closed       list of JSON, newest last
{drift}:quality      list of JSON, newest last
{drift}:trained      JSON: quality at training
{drift}:counts       hash partition -> JSON
{drift}:acknowledged hash cause -> JSON: what an operator has said of open alarms

All but the last changes in one transaction for each batch of the feature log, guarded by the position, so that what is
shown is exact under redelivery.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

import redis
from pydantic import BaseModel, ValidationError

from stores.errors import ShardLost
from stores.redis.connection import Client, reachable

TAG = "{drift}"
KEPT = 2000
"""Windows and closed alarms kept."""

Kind = Literal["feature", "label", "score"]
M = TypeVar("M", bound=BaseModel)


class SeriesNow(BaseModel):
    """A series in its latest window.

    Attributes:
        name: `features.DENSE_COLUMNS`; `label` and `label:GENRE` (liked); `next`, `like`, `score` (the ranker's).
        kind: feature, label or score.
        n: values in the window.
        psi: population stability index against the reference.
        band: what the PSI of undrifted values of this number stays under.
        js: Jensen-Shannon divergence in bits, 0 to 1.
        missing: share of values that are missing.
        out_of_range: share of values outside the reference's range.
        alarm_since: events counted when its open alarm opened, None where none is open.
    """

    name: str
    kind: Kind
    n: int
    psi: float
    band: float
    js: float
    missing: float
    out_of_range: float
    alarm_since: int | None = None

    @property
    def ratio(self) -> float:
        """PSI as a multiple of its band: above 1 is drift."""
        return self.psi / self.band if self.band > 0 else 0.0


class DriftNow(BaseModel):
    """How all series stand after the latest window.

    Attributes:
        events: events counted since the beginning.
        wall_ts: when, in unix seconds.
        event_ts: event time of the latest event, in unix seconds.
        window: events of a full window.
        run: the run whose reference it is compared with.
        series: worst first.
    """

    events: int
    wall_ts: float
    event_ts: int
    window: int
    run: str
    series: list[SeriesNow]


class DriftWindow(BaseModel):
    """One window in the timeline.

    Attributes:
        events: events counted up to its end.
        wall_ts, event_ts: when it ended, in unix seconds: by the clock of the feature log, and in event time.
        psi: by series; without series that had too few values.
        band: by series, for the number of values it had.
    """

    events: int
    wall_ts: float
    event_ts: int
    psi: dict[str, float]
    band: dict[str, float]


class SeriesHistogram(BaseModel):
    """A series' latest window beside the reference.

    Attributes:
        name: the series.
        labels: of the bins, in words; the last are below range, above range, missing.
        reference: share of each bin at training.
        now: share of each bin in the latest window.
    """

    name: str
    labels: list[str]
    reference: list[float]
    now: list[float]


class Alarm(BaseModel):
    """An alarm.

    Attributes:
        series: what has drifted; `logloss` beside the names of `SeriesNow`.
        detector: psi, missing, range, adwin or kswin; failure where drift itself could not be watched.
        opened: events counted when it opened.
        opened_wall_ts, opened_event_ts: when, in unix seconds.
        closed, closed_wall_ts, closed_event_ts: the same of its end; None while it is open.
        value: what the detector measured when it opened; for adwin and kswin the mean after the change.
        band: what normal stays under; for adwin and kswin the mean before the change.
        group: the key of the first alarm of the same cause; empty where that is this one.
    """

    series: str
    detector: Literal["psi", "missing", "range", "adwin", "kswin", "failure"]
    opened: int
    opened_wall_ts: float
    opened_event_ts: int
    value: float
    band: float
    closed: int | None = None
    closed_wall_ts: float | None = None
    closed_event_ts: int | None = None
    group: str = ""

    @property
    def cause(self) -> str:
        """Names the alarms of one cause: the key of the first of them."""
        return self.group or self.key

    @property
    def key(self) -> str:
        """Names the alarm."""
        return f"{self.detector}:{self.series}:{self.opened}"


class Acknowledgement(BaseModel):
    """An operator's acknowledgement of the alarms of one cause; it holds until they change.

    Attributes:
        cause: see `Alarm.cause`.
        note: in the operator's words.
        wall_ts: when, in unix seconds.
        alarms: keys of the alarms that were open.
        level: how far the worst series had shifted (see `drift.acknowledged`).
    """

    cause: str
    note: str
    wall_ts: float
    alarms: list[str]
    level: int


class Segment(BaseModel):
    """Quality within a part of the users; None where there are too few events.

    Attributes:
        scored: events.
        auc, logloss: of P(like).
        label_rate: share of likes.
    """

    scored: int
    auc: float | None
    logloss: float | None
    label_rate: float | None


class QualityWindow(BaseModel):
    """How good the ranker was on the latest scored events, each scored before it was learned from.

    Attributes:
        events: events counted up to the end of the window.
        wall_ts, event_ts: when it ended, in unix seconds.
        run: the run that scored.
        seen: events since the window before.
        scored: events that the figures are about.
        listed: those for which a list was made too.
        sampling: share of the events since the window before that were scored.
        auc, logloss, ece: of P(like); None where there are too few events. ece is the expected calibration error.
        label_rate: share of likes.
        hit10, hit50: share of liked events whose item was in the first 10 or 50 of the list; None without lists.
        segments: by `gender:F`, `age:25`, `history:20-99`.
    """

    events: int
    wall_ts: float
    event_ts: int
    run: str
    seen: int
    scored: int
    listed: int
    sampling: float
    auc: float | None = None
    logloss: float | None = None
    ece: float | None = None
    label_rate: float | None = None
    hit10: float | None = None
    hit50: float | None = None
    segments: dict[str, Segment] = {}


class TrainedQuality(BaseModel):
    """The same figures on validation events at training; None where the run does not tell."""

    run: str
    auc: float | None = None
    logloss: float | None = None
    ece: float | None = None
    label_rate: float | None = None
    hit10: float | None = None
    hit50: float | None = None


class PartitionCounts(BaseModel):
    """What is counted of a partition of the ratings.

    Attributes:
        last: offset of the last event counted.
        events: events counted.
        series: values in each bin, as in `SeriesHistogram.labels`, of all events since the beginning.
    """

    last: int
    events: int
    series: dict[str, list[int]]


@dataclass
class DriftUpdate:
    """What one batch of the feature log changes; what is None or empty stays as it is."""

    state: bytes | None = None
    now: DriftNow | None = None
    histograms: list[SeriesHistogram] = field(default_factory=list)
    windows: list[DriftWindow] = field(default_factory=list)
    opened: list[Alarm] = field(default_factory=list)
    closed: list[Alarm] = field(default_factory=list)
    quality: list[QualityWindow] = field(default_factory=list)
    trained: TrainedQuality | None = None
    counts: dict[int, PartitionCounts] = field(default_factory=dict)
    unacknowledged: list[str] = field(default_factory=list)


class DriftStore:
    """Reads and writes what drift has found; every method raises Unreachable where Redis does not answer."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def now(self) -> DriftNow | None:
        """How all series stand, worst first; None before the first window."""
        with reachable():
            packed = cast("bytes | None", self.client.get(f"{TAG}:now"))
        return DriftNow.model_validate_json(packed) if packed else None

    def histogram(self, series: str) -> SeriesHistogram | None:
        """A series' latest window beside the reference; None before the first."""
        with reachable():
            packed = cast("bytes | None", self.client.hget(f"{TAG}:histograms", series))
        return SeriesHistogram.model_validate_json(packed) if packed else None

    def timeline(self, last: int = KEPT) -> list[DriftWindow]:
        """The last windows, oldest first."""
        return self._last("timeline", last, DriftWindow)

    def alarms(self, last: int = KEPT) -> list[Alarm]:
        """Open alarms and the last closed ones: the open first, newest first."""
        with reachable():
            opened = cast("list[bytes]", self.client.hvals(f"{TAG}:open"))
        closed = self._last("closed", last, Alarm) if last else []
        known = closed + [Alarm.model_validate_json(each) for each in opened]
        return sorted(known, key=lambda alarm: (alarm.closed is None, alarm.opened), reverse=True)

    def acknowledged(self) -> dict[str, Acknowledgement]:
        """Acknowledgements by operators, by cause, without those that cannot be read."""
        with reachable():
            packed = cast("dict[bytes, bytes]", self.client.hgetall(f"{TAG}:acknowledged"))
        known = {}
        for cause, said in packed.items():
            with suppress(ValidationError):
                known[cause.decode(errors="replace")] = Acknowledgement.model_validate_json(said)
        return known

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Keep what an operator has said; it replaces what was said of the cause before."""
        with reachable():
            self.client.hset(f"{TAG}:acknowledged", acknowledgement.cause, acknowledgement.model_dump_json())

    def quality(self, last: int = KEPT) -> list[QualityWindow]:
        """The last windows of quality, oldest first."""
        return self._last("quality", last, QualityWindow)

    def trained(self) -> TrainedQuality | None:
        """Quality at training of the run in use."""
        with reachable():
            packed = cast("bytes | None", self.client.get(f"{TAG}:trained"))
        return TrainedQuality.model_validate_json(packed) if packed else None

    def counts(self) -> dict[int, PartitionCounts]:
        """What is counted, by partition of the ratings."""
        with reachable():
            packed = cast("dict[bytes, bytes]", self.client.hgetall(f"{TAG}:counts"))
        return {int(partition): PartitionCounts.model_validate_json(each) for partition, each in sorted(packed.items())}

    def position(self) -> int:
        """Offset in the feature log up to which events are counted, -1 for none."""
        with reachable():
            value = cast("bytes | None", self.client.get(f"{TAG}:position"))
        return -1 if value is None else int(value)

    def state(self) -> tuple[int, bytes | None]:
        """(position, the monitor's own state as of it)."""
        with reachable():
            position, packed = cast("list[bytes | None]", self.client.mget(f"{TAG}:position", f"{TAG}:state"))
        return -1 if position is None else int(position), packed

    def write(self, before: int, position: int, update: DriftUpdate) -> None:
        """Write all that a batch changes, in one transaction.

        Args:
            before: the position that the update follows.
            position: offset of the last message of the feature log in it.
            update: the changes.

        Raises:
            ShardLost: if the stored position is not `before`: another worker counts. Nothing is written.
        """
        pipe = self.client.pipeline(transaction=True)
        try:
            with reachable():
                pipe.watch(f"{TAG}:position")  # type: ignore[no-untyped-call]
                stored = cast("bytes | None", pipe.get(f"{TAG}:position"))
                if (-1 if stored is None else int(stored)) != before:
                    raise ShardLost("drift is counted by another worker; this one stops")
                pipe.multi()
                pipe.set(f"{TAG}:position", position)
                if update.state is not None:
                    pipe.set(f"{TAG}:state", update.state)
                if update.now is not None:
                    pipe.set(f"{TAG}:now", update.now.model_dump_json())
                if update.trained is not None:
                    pipe.set(f"{TAG}:trained", update.trained.model_dump_json())
                for histogram in update.histograms:
                    pipe.hset(f"{TAG}:histograms", histogram.name, histogram.model_dump_json())
                for partition, counts in update.counts.items():
                    pipe.hset(f"{TAG}:counts", str(partition), counts.model_dump_json())
                for alarm in update.opened:
                    pipe.hset(f"{TAG}:open", alarm.key, alarm.model_dump_json())
                for alarm in update.closed:
                    pipe.hdel(f"{TAG}:open", alarm.key)
                if update.unacknowledged:
                    pipe.hdel(f"{TAG}:acknowledged", *update.unacknowledged)
                _append(pipe, "closed", update.closed)
                _append(pipe, "timeline", update.windows)
                _append(pipe, "quality", update.quality)
                pipe.execute()
        except redis.WatchError:
            raise ShardLost("drift is counted by another worker; this one stops") from None
        finally:
            pipe.reset()

    def start_over(self, position: int) -> None:
        """Count anew what follows an offset of the feature log; what was shown stays.

        What the feature log holds up to there is of events that are lost, or that are folded and logged again.
        """
        pipe = self.client.pipeline(transaction=True)
        pipe.delete(*(f"{TAG}:{name}" for name in ("state", "counts", "open")))
        pipe.set(f"{TAG}:position", position)
        with reachable():
            pipe.execute()

    def delete_all(self) -> None:
        """Forget all of it."""
        names = ("position", "state", "now", "histograms", "timeline", "open", "closed", "quality", "trained", "counts")
        with reachable():
            self.client.delete(*(f"{TAG}:{name}" for name in names), f"{TAG}:acknowledged")

    def _last(self, name: str, last: int, model: type[M]) -> list[M]:
        with reachable():
            packed = cast("list[bytes]", self.client.lrange(f"{TAG}:{name}", -last, -1))
        return [model.model_validate_json(each) for each in packed]


def _append(pipe: redis.client.Pipeline, name: str, entries: Iterable[BaseModel]) -> None:
    lines = [entry.model_dump_json() for entry in entries]
    if lines:
        pipe.rpush(f"{TAG}:{name}", *lines)
        pipe.ltrim(f"{TAG}:{name}", -KEPT, -1)
