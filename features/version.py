"""Versions of what is stored, derived from what is declared: of the state of users and items, and of dense inputs.

A version is a fingerprint. It changes when a count, a field of the profile or a column is added, removed or renamed, or
when weights of terms come to mean something else, so that what was stored before is recognised and refused, and never
misread. It also changes with the constants LAYOUT of what is packed, which go up when the same fields are packed in
another way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from features.counters import ItemCounter
from features.counts import Attribute, Count

FIRST_STATE = "89fd8037"
"""Version of a state that was stored before states had versions."""

FIRST_PROFILES = "9ab1d8dd"
"""Version of profiles and counters in snapshot files that were written before they had versions."""

FIRST_FEATURE_LOG = "ae527ba0"
"""Version of messages of the feature log that were written before they had versions."""

STATE_LAYOUT = 2
"""Layout of profiles, counters, seen filters, users and feature rows (`stores.redis.packing`, `compat.feast_rows`)."""

ROWS_OF_EVENTS = 1
"""The layout before: a profile had a row for each event, and has columns of them since."""

PROFILE_LAYOUTS = (ROWS_OF_EVENTS, STATE_LAYOUT)
"""Layouts of states whose profiles this release reads, so that lists can be made of them."""

FEATURE_LOG_LAYOUT = 2
"""Layout of messages of the feature log (`stores.kafka.feature_log`)."""

FIRST_COLUMNS = (
    *("user_log_n", "user_like_rate", "user_like_rate10", "user_like_rate30", "genre_affinity", "genre_exposure"),
    *("genre_affinity30", "genre_exposure30", "item_like_rate", "item_log_n", "item_year", "decade_affinity"),
    *("decade_exposure", "user_log_days", "genre:Action", "genre:Adventure", "genre:Animation", "genre:Children's"),
    *("genre:Comedy", "genre:Crime", "genre:Documentary", "genre:Drama", "genre:Fantasy", "genre:Film-Noir"),
    *("genre:Horror", "genre:Musical", "genre:Mystery", "genre:Romance", "genre:Sci-Fi", "genre:Thriller"),
    *("genre:War", "genre:Western"),
)
"""Columns of the dense input of runs that went live before live runs named theirs, which were all of MovieLens-1M."""


def fingerprint(names: Iterable[str]) -> str:
    """Eight hexadecimal digits for a sequence of names."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]


def laid_out(layout: int) -> list[str]:
    """The part of a fingerprint that stands for a layout; the first has none."""
    return [f"layout {layout}"] if layout > 1 else []


def _described(kind: str, declared: Sequence[Count | Attribute]) -> list[str]:
    return [f"{kind} {field.name} {field.length}" for field in declared]


COUNTER_FIELDS = [f"counter {field.name}" for field in fields(ItemCounter)]


def of_profiles(profile_fields: Iterable[str], decay: Iterable[str] = (), layout: int = STATE_LAYOUT) -> str:
    """The version of profiles and counters, whose profiles have these fields.

    Args:
        profile_fields: their names.
        decay: what weights of terms mean (see `features.weights.meaning`); empty where profiles have none.
        layout: of what is packed.
    """
    return fingerprint([*_profile(profile_fields), *COUNTER_FIELDS, *decay, *laid_out(layout)])


def of_state(
    profile_fields: Iterable[str],
    decay: Iterable[str],
    user: Sequence[Count | Attribute],
    item: Sequence[Count | Attribute],
) -> str:
    """The version of a state, whose profiles and feature rows have these fields; `decay` as of profiles."""
    rows = [*_described("user", user), *_described("item", item)]
    return fingerprint([*_profile(profile_fields), *COUNTER_FIELDS, *decay, *rows, *laid_out(STATE_LAYOUT)])


def of_feature_log(dense_columns: Iterable[str], user_columns: Mapping[str, int]) -> str:
    """The version of messages of the feature log, whose rows and users have these columns."""
    columns = [f"{name} {length}" for name, length in user_columns.items()]
    return fingerprint([*dense_columns, *columns, *laid_out(FEATURE_LOG_LAYOUT)])


def _profile(names: Iterable[str]) -> list[str]:
    return [f"profile {name}" for name in names]


def difference(columns: Sequence[str], declared: Sequence[str]) -> str | None:
    """Say how the columns of a model differ from those that are declared; None where they are the same.

    >>> difference(["a", "c"], ["a", "b"])
    'it lacks b and has c'
    >>> difference(["b", "a"], ["a", "b"])
    'its columns are in another order'
    """
    if list(columns) == list(declared):
        return None
    lacks = ", ".join(name for name in declared if name not in columns)
    has = ", ".join(name for name in columns if name not in declared)
    parts = [f"it lacks {lacks}" if lacks else "", f"{'has' if lacks else 'it has'} {has}" if has else ""]
    return " and ".join(part for part in parts if part) or "its columns are in another order"
