"""How a series' latest window is shown."""

from __future__ import annotations

from drift.divergence import jensen_shannon, psi
from drift.histogram import ABOVE, BELOW, MISSING, Histogram
from drift.layout import Ints
from drift.series import kind_of
from stores.drift import SeriesHistogram, SeriesNow


def stands(name: str, histogram: Histogram, counts: Ints, alarm_since: int | None) -> SeriesNow:
    """The measures of a window of at least one value, counts INT64 [bins]."""
    n = int(counts.sum())
    return SeriesNow(
        name=name,
        kind=kind_of(name),
        n=n,
        psi=float(psi(histogram.shares, counts)),
        band=histogram.noise / n,
        js=jensen_shannon(histogram.shares, counts),
        missing=float(counts[MISSING] / n),
        out_of_range=float((counts[BELOW] + counts[ABOVE]) / n),
        alarm_since=alarm_since,
    )


def beside(histogram: Histogram, name: str, counts: Ints) -> SeriesHistogram:
    """A window beside the reference; shares of 0 where it has no values."""
    return SeriesHistogram(
        name=name,
        labels=histogram.labels(),
        reference=histogram.shares.tolist(),
        now=(counts / max(int(counts.sum()), 1)).tolist(),
    )
