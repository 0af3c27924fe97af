"""The series that the counts of drift must have."""

from __future__ import annotations

from drift.records import PartitionCounts
from drift.series import EXACT, LABELS, SERIES
from features import DENSE_COLUMNS
from stores import LiveRun
from verify.drift import series_of


def counts(series: list[str]) -> PartitionCounts:
    return PartitionCounts(last=3, events=1, series={name: [1] for name in series})


def test_counts_have_the_series_of_this_run_or_still_those_of_the_previous_one() -> None:
    now, before = list(SERIES[:EXACT]), [*DENSE_COLUMNS[1:], *LABELS]
    previous = LiveRun(run="one", version=1, index="i", dim=3, history=10, quality=0.1, dense=list(DENSE_COLUMNS[1:]))
    assert series_of(counts(now), previous) == series_of(counts(now), None) == sorted(now)
    assert series_of(counts(before), previous) == sorted(before)
    assert series_of(counts(before), None) == series_of(counts(before[1:]), previous) == sorted(now)
