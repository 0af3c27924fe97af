"""The versions of what is stored."""

from __future__ import annotations

from features import DENSE_COLUMNS
from features.version import (
    FEATURE_LOG_VERSION,
    FIRST_COLUMNS,
    FIRST_FEATURE_LOG,
    FIRST_PROFILES,
    FIRST_STATE,
    PROFILES_VERSION,
    STATE_VERSION,
    difference,
)


def test_what_was_stored_before_there_were_versions_can_still_be_read() -> None:
    """Whoever changes a count, a field of the profile or a column takes the line out of this test."""
    assert STATE_VERSION == FIRST_STATE
    assert PROFILES_VERSION == FIRST_PROFILES
    assert FEATURE_LOG_VERSION == FIRST_FEATURE_LOG
    assert difference(FIRST_COLUMNS) is None


def test_a_difference_of_columns_is_told_in_words() -> None:
    assert difference(DENSE_COLUMNS[1:]) == "it lacks user_log_n"
    assert difference([*DENSE_COLUMNS, "x", "y"]) == "it has x, y"
    assert difference([*DENSE_COLUMNS[::-1]]) == "its columns are in another order"
