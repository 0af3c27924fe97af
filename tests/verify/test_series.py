"""The series that the counts of drift must have."""

from __future__ import annotations

import pytest

from drift.records import PartitionCounts
from drift.series import Series
from features import Schema
from stores import LiveRun
from tests import movielens, shop
from verify.drift import series_of


def counts(series: list[str]) -> PartitionCounts:
    return PartitionCounts(last=3, events=1, series={name: [1] for name in series})


@pytest.mark.parametrize("schema", [movielens.SCHEMA, shop.SCHEMA], ids=["movielens", "shop"])
def test_counts_have_the_series_of_this_run_or_still_those_of_the_previous_one(schema: Schema) -> None:
    series = Series(schema)
    columns = list(schema.dense_columns)[1:]
    now, before = list(series.names[: series.exact]), [*columns, *series.labels]
    previous = LiveRun(run="one", version=1, index="i", dim=3, history=10, quality=0.1, dense=columns)
    assert series_of(series, counts(now), previous) == series_of(series, counts(now), None) == sorted(now)
    assert series_of(series, counts(before), previous) == sorted(before)
    assert series_of(series, counts(before), None) == sorted(now)
    assert series_of(series, counts(before[1:]), previous) == sorted(now)
