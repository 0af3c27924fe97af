"""The series of drift."""

from __future__ import annotations

from drift.series import DESCRIPTIONS, EXACT, SERIES
from features import DENSE_COLUMNS
from features.declarations import TABLE


def test_every_series_has_a_description_and_that_of_a_feature_is_the_declared_one() -> None:
    assert DESCRIPTIONS.keys() == {*SERIES, "logloss"}
    assert all(DESCRIPTIONS[column] == TABLE.description(column) for column in DENSE_COLUMNS)
    assert all(text.endswith(".") and "\n" not in text for text in DESCRIPTIONS.values())


def test_every_column_of_the_dense_input_is_a_series_of_every_event() -> None:
    assert SERIES[: len(DENSE_COLUMNS)] == DENSE_COLUMNS
    assert len(DENSE_COLUMNS) < EXACT
