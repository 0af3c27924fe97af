"""Records of drift: what a monitor finds, as it is stored, told and shown.

Those that are stored or told by themselves carry a version (`features.stored`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field, model_validator

from features.stored import FIRST_VERSION, Record

Kind = Literal["feature", "label", "score"]
THRESHOLD = AliasChoices("threshold", "band")
"""`threshold` was `band` in records from before."""
Detector = Literal["psi", "missing", "range", "adwin", "kswin", "failure"]


class SeriesNow(BaseModel):
    """A series in its latest window.

    Attributes:
        name: as in `drift.series.Series.names`.
        kind: feature, label or score.
        n: values in the window.
        psi: population stability index against the reference.
        threshold: what the PSI of undrifted values of this number stays under.
        js: Jensen-Shannon divergence in bits, 0 to 1.
        missing: share of values that are missing.
        out_of_range: share of values outside the reference's range.
        alarm_since: events counted when its open alarm opened, None where none is open.
    """

    name: str
    kind: Kind
    n: int
    psi: float
    threshold: float = Field(validation_alias=THRESHOLD)
    js: float
    missing: float
    out_of_range: float
    alarm_since: int | None = None

    @property
    def ratio(self) -> float:
        """PSI as a multiple of its threshold: above 1 is drift."""
        return self.psi / self.threshold if self.threshold > 0 else 0.0


class DriftNow(Record):
    """The state of all series after the latest window.

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


class DriftWindow(Record):
    """One window in the timeline.

    Attributes:
        events: events counted up to its end.
        wall_ts, event_ts: when it ended, in unix seconds: by the clock of the feature log, and in event time.
        psi: by series; without series that had too few values.
        threshold: by series, for the number of values it had.
    """

    events: int
    wall_ts: float
    event_ts: int
    psi: dict[str, float]
    threshold: dict[str, float] = Field(validation_alias=THRESHOLD)


class SeriesHistogram(Record):
    """A series' latest window next to the reference.

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


class Alarm(Record):
    """An alarm.

    Attributes:
        series: what has drifted; `logloss` beside the names of `SeriesNow`.
        detector: psi, missing, range, adwin or kswin; failure where drift itself could not be watched.
        opened: events counted when it opened.
        opened_wall_ts, opened_event_ts: when, in unix seconds.
        closed, closed_wall_ts, closed_event_ts: the same of its end; None while it is open.
        value: what the detector measured when it opened; for adwin and kswin the mean after the change, for failure the
            number of failures.
        threshold: what normal stays under, for psi, missing and range; None for the others.
        mean_before: the mean before the change, for adwin and kswin; None for the others.
        group: the key of the first alarm of the same cause; empty where that is this one.
    """

    schema_version: int = 2
    series: str
    detector: Detector
    opened: int
    opened_wall_ts: float
    opened_event_ts: int
    value: float
    threshold: float | None = Field(None, validation_alias=THRESHOLD)
    mean_before: float | None = None
    closed: int | None = None
    closed_wall_ts: float | None = None
    closed_event_ts: int | None = None
    group: str = ""

    def closed_at(self, events: int, wall_ts: float, event_ts: int) -> Alarm:
        """Return the alarm as it is once closed: events counted by then, and the time in unix seconds."""
        return self.model_copy(update={"closed": events, "closed_wall_ts": wall_ts, "closed_event_ts": event_ts})

    @classmethod
    def migrated_versions(cls) -> tuple[int, ...]:
        """The first version, which `_migrate` reads."""
        return (FIRST_VERSION,)

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, stored: Any) -> Any:
        """Read the version 1, in which `threshold` held the mean before a change, and was 0 for a failure."""
        if not isinstance(stored, Mapping) or stored.get("schema_version", FIRST_VERSION) != FIRST_VERSION:
            return stored
        fields = {name: value for name, value in stored.items() if name != "schema_version"}
        if fields.get("detector") in ("adwin", "kswin", "failure"):
            older = [fields.pop(name, None) for name in THRESHOLD.choices if isinstance(name, str)]
            if fields["detector"] != "failure" and fields.get("mean_before") is None:
                fields["mean_before"] = next((value for value in older if value is not None), None)
        return fields

    @property
    def cause(self) -> str:
        """Names the alarms of one cause: the key of the first of them."""
        return self.group or self.key

    @property
    def key(self) -> str:
        """Names the alarm."""
        return f"{self.detector}:{self.series}:{self.opened}"


class Acknowledgement(Record):
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


class QualityFigures(Record):
    """Quality of the ranker.

    Attributes:
        auc, logloss, ece: of P(like); None where there are too few events. ece is the expected calibration error.
        label_rate: share of likes.
        hit10, hit50: share of liked events whose item was in the first 10 or 50 of the list; None without lists.
    """

    auc: float | None = None
    logloss: float | None = None
    ece: float | None = None
    label_rate: float | None = None
    hit10: float | None = None
    hit50: float | None = None


class QualityWindow(QualityFigures):
    """Quality of the ranker on the latest scored events, each scored before it was learned from.

    Attributes:
        events: events counted up to the end of the window.
        wall_ts, event_ts: when it ended, in unix seconds.
        run: the run that scored.
        seen: events since the window before.
        scored: events that the figures are about.
        listed: those for which a list was made too.
        sampling: share of the events since the window before that were scored.
        segments: by name, as `drift.events.segments_of` gives them.
    """

    events: int
    wall_ts: float
    event_ts: int
    run: str
    seen: int
    scored: int
    listed: int
    sampling: float
    segments: dict[str, Segment] = Field(default_factory=dict)


class TrainedQuality(QualityFigures):
    """The same figures on validation events at training; None where the run does not tell."""

    run: str


class PartitionCounts(Record):
    """The counts of a partition of the events.

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
    """The changes of one batch of the feature log; None or empty leaves a value unchanged."""

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
