"""The bins of all series at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drift import Series
from drift import layout as module
from drift.events import Scored
from drift.layout import Layout
from features import Schema
from tests import shop
from tests.drift.stream import SERIES, events, reference, scored
from tests.movielens import SCHEMA


@pytest.mark.parametrize("schema", [SCHEMA, shop.SCHEMA], ids=["films", "shop"])
@pytest.mark.parametrize("at_once", [1, 7, 1024])
def test_the_bin_of_each_event_in_each_series_is_that_of_the_series_by_itself(
    schema: Schema, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    layout, some = Layout(Series(schema), reference(schema)), events(60, 5, schema=schema)
    rng = np.random.default_rng(3)
    rows = some.rows.copy()
    strange = [np.nan, np.inf, -np.inf, 1e9, -1e9, 0.0, *(edge for of in layout.series.values() for edge in of.edges)]
    rows[rng.random(rows.shape) < 0.5] = 0.0
    rows.flat[rng.choice(rows.size, 600)] = rng.choice(strange, 600)
    some = replace(some, rows=rows)
    told = scored(some)
    told.values[::3, 1] = np.nan
    places = layout.places(some, told)

    values, counts = Series(schema).label_values(some.rows, some.liked)
    columns = [*some.rows.T, *values.T, *told.values.T]
    begins = np.cumsum([0, *layout.bins[:-1]])
    exact = len(columns) - 3
    for number, (histogram, column) in enumerate(zip(layout.series.values(), columns, strict=True)):
        expected = histogram.place(column) + begins[number]
        if number >= exact:
            assert places[told.place, number].tolist() == expected.tolist()
            others = np.delete(np.arange(len(some)), told.place)
            assert (places[others, number] == -1).all()
        else:
            label = number - (exact - counts.shape[1])
            if label >= 0:
                expected[~counts[:, label]] = -1
            assert places[:, number].tolist() == expected.tolist(), number


def test_no_event_has_no_bin() -> None:
    layout, some = Layout(SERIES, reference()), events(0, 5)
    assert layout.places(some, Scored.none()).shape == (0, len(layout.series))
