"""Records of the latest window of a series."""

from __future__ import annotations

from drift.checks import Check
from drift.divergence import jensen_shannon
from drift.histogram import Histogram
from drift.layout import Ints
from drift.records import SeriesHistogram, SeriesNow
from drift.series import Series


def series_now(
    series: Series, number: int, histogram: Histogram, counts: Ints, check: Check, alarm_since: int | None
) -> SeriesNow:
    """The measures of a window of at least one value, counts INT64 [bins]; `number` is the place of the series."""
    name = series.names[number]
    return SeriesNow(
        name=name,
        kind=series.kind(name),
        n=int(check.n[number]),
        psi=float(check.psi[number]),
        threshold=float(check.threshold[number]),
        js=jensen_shannon(histogram.shares, counts),
        missing=float(check.missing[number]),
        out_of_range=float(check.out_of_range[number]),
        alarm_since=alarm_since,
    )


def series_histogram(histogram: Histogram, name: str, counts: Ints) -> SeriesHistogram:
    """A window next to the reference; shares of 0 where it has no values."""
    return SeriesHistogram(
        name=name,
        labels=histogram.labels(),
        reference=histogram.shares.tolist(),
        now=(counts / max(int(counts.sum()), 1)).tolist(),
    )
