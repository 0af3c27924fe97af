"""The versions of what is stored."""

from __future__ import annotations

from features import Schema
from features.dataset import parse
from features.state_fields import before_weights
from features.version import (
    FIRST_COLUMNS,
    FIRST_FEATURE_LOG,
    FIRST_PROFILES,
    FIRST_STATE,
    ROWS_OF_EVENTS,
    difference,
    fingerprint,
    of_profiles,
)
from tests import shop
from tests.features import frozen
from tests.movielens import SCHEMA

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


def test_the_versions_of_movielens_change_only_on_purpose() -> None:
    versions = (SCHEMA.state_version, SCHEMA.profiles_version, SCHEMA.feature_log_version)
    assert versions == ("af5865c4", "fa99a989", "8b9b3654")
    assert SCHEMA.profiles_version_before == "2a687957", "of states that were saved while a profile had rows of events"
    unweighted = of_profiles(before_weights(SCHEMA), layout=ROWS_OF_EVENTS)
    assert unweighted == "fabf6dca", "of states that were saved before profiles had weights"


def test_a_state_whose_weights_mean_something_else_has_another_version() -> None:
    other = [
        Schema(parse(text), shop.SCHEMA.learned)
        for text in (
            "term_half_life_days = 31\n" + shop.DESCRIPTION,
            shop.DESCRIPTION.replace("weight = 0.5", "weight = 0.75"),
        )
    ]
    schemas = [shop.SCHEMA, *other]
    for versions in ({each.state_version for each in schemas}, {each.profiles_version for each in schemas}):
        assert len(versions) == len(schemas)
    same = shop.DESCRIPTION.replace('positive = "always"', 'positive = "always"\nprecedence = 2', 1)
    assert Schema(parse(same), shop.SCHEMA.learned).state_version == shop.SCHEMA.state_version


def test_a_state_without_terms_has_the_version_that_it_had_before_there_were_weights() -> None:
    schema = Schema(parse(shop.DESCRIPTION.replace("term = true", "")), shop.SCHEMA.learned)
    assert schema.profiles_version == of_profiles(before_weights(schema))


def test_a_difference_of_columns_is_told_in_words() -> None:
    declared = SCHEMA.dense_columns
    assert difference(declared, declared) is None
    assert difference(declared[1:], declared) == f"it lacks {declared[0]}"
    assert difference([*declared, "x", "y"], declared) == "it has x, y"
    assert difference([*declared[::-1]], declared) == "its columns are in another order"
