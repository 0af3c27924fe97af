"""The versions of what is stored."""

from __future__ import annotations

from features import DENSE_COLUMNS
from features.version import FIRST_COLUMNS, FIRST_FEATURE_LOG, FIRST_PROFILES, FIRST_STATE, difference, fingerprint
from tests.features import frozen

PROFILE = ("userid", "version", "n", "likes", "first_ts", "last_ts", "genre_n", "genre_likes")
STORED = [
    *(f"profile {name}" for name in (*PROFILE, "decade_n", "decade_likes", "recent")),
    *(f"counter {name}" for name in ("version", "n", "likes", "last_ts", "weeks")),
]


def length(name: str) -> int:
    return 18 if name.startswith("genre") else 10 if name.startswith("decade") else 1


def test_the_first_versions_are_those_of_what_was_stored_before_there_were_versions() -> None:
    user = [f"user {name} {length(name)}" for name in frozen.USER_ROW]
    item = [f"item {name} {length(name)}" for name in ("version", *frozen.ITEM_ROW)]
    counts = [f"{name} {length(name)}" for name in frozen.USER_ROW[4:]]
    assert fingerprint(STORED) == FIRST_PROFILES
    assert fingerprint([*STORED, *user, *item]) == FIRST_STATE
    assert fingerprint([*frozen.COLUMNS, *counts]) == FIRST_FEATURE_LOG
    assert frozen.COLUMNS == FIRST_COLUMNS


def test_a_difference_of_columns_is_told_in_words() -> None:
    assert difference(DENSE_COLUMNS) is None
    assert difference(DENSE_COLUMNS[1:]) == f"it lacks {DENSE_COLUMNS[0]}"
    assert difference([*DENSE_COLUMNS, "x", "y"]) == "it has x, y"
    assert difference([*DENSE_COLUMNS[::-1]]) == "its columns are in another order"
