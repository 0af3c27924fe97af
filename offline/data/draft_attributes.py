"""Attributes of items and users, when a description is drafted."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from features.dataset.references import RESERVED_ITEMS, RESERVED_USERS
from offline.data import draft_words as words
from offline.data.draft_columns import Column
from offline.data.draft_roles import Entity

MOST_VALUES = 1000
"""Most values of a category."""

YEARS = 12
"""Distinct years from which on the year of a date is an attribute."""

FEW_NUMBERS = 25
"""Distinct whole numbers up to which each is a value of its own."""

BUCKETS = 5

FLAGS = 3
"""Fewest columns of 0 and 1 that are taken for flags of one attribute."""

TITLED_YEAR = r".+\((\d{4})\)\s*"
DATED_YEAR = r"(\d{4})-.*"
"""Patterns of a year at the end of a title, and at the beginning of a date."""

MANY_TERMS = 6
"""Most attributes that are used for term recall: each has features of its own."""


@dataclass(frozen=True)
class Drafted:
    """An attribute.

    Attributes:
        name: in the description.
        keys: of its table, with their values as Python has them.
        note: what was assumed of it.
    """

    name: str
    keys: dict[str, object]
    note: str


def item_attributes(entity: Entity) -> tuple[list[Drafted], dict[str, str]]:
    """(the attributes of items, why other columns are left out)."""
    columns = [column for column in entity.table.columns.values() if column is not entity.key]
    flags = [column for column in columns if _is_flag(column)]
    flags = flags if len(flags) >= FLAGS else []
    title = _title(columns)
    drafted: list[Drafted] = []
    left: dict[str, str] = {}
    taken = [*RESERVED_ITEMS, "user", "item"]

    def add(name: str, keys: dict[str, object], note: str) -> None:
        if keys.get("singular") in taken:
            keys = {key: value for key, value in keys.items() if key != "singular"}
        drafted.append(Drafted(words.slug(name, tuple(taken), "of"), keys, note))
        taken.extend((drafted[-1].name, str(keys.get("singular", ""))))

    if title is not None:
        note = f"{title.name!r} is the text by which an item is shown"
        drafted.append(Drafted("title", {"kind": "title", "column": title.name}, note))
        if _matches(title, TITLED_YEAR):
            keys: dict[str, object] = {"kind": "number", "column": title.name, "pattern": TITLED_YEAR, "whole": True}
            add("year", {**keys, "quantiles": BUCKETS, "term": True}, f"{title.name!r} ends in a year")
    if flags:
        keys = {"kind": "categories", "singular": "flag", "flags": [column.name for column in flags], "term": True}
        add("flags", keys, f"{len(flags)} columns hold only 0 and 1, each a value of one attribute")
    for column in columns:
        if column is title or column in flags:
            continue
        found = _item_attribute(column)
        if isinstance(found, str):
            left[column.name] = found
        else:
            add(column.name, *found)
    return [_within_terms(attribute, drafted) for attribute in drafted], left


def user_attributes(entity: Entity) -> tuple[list[Drafted], dict[str, str]]:
    """(the attributes of users, why other columns are left out)."""
    drafted: list[Drafted] = []
    left: dict[str, str] = {}
    taken = list(RESERVED_USERS)
    for column in entity.table.columns.values():
        if column is entity.key:
            continue
        found = _single(column)
        if isinstance(found, str):
            left[column.name] = found
            continue
        keys, note = found
        drafted.append(Drafted(words.slug(column.name, tuple(taken), "of"), keys, note))
        taken.append(drafted[-1].name)
    return drafted, left


def _within_terms(attribute: Drafted, drafted: list[Drafted]) -> Drafted:
    """The attribute, without term recall where there are many terms before it."""
    terms = [each.name for each in drafted if each.keys.get("term")]
    if attribute.name not in terms[MANY_TERMS:]:
        return attribute
    keys = {key: value for key, value in attribute.keys.items() if key != "term"}
    return Drafted(attribute.name, keys, f"{attribute.note}; not used for term recall, as {MANY_TERMS} others are")


def _title(columns: list[Column]) -> Column | None:
    """The column with the titles: one with the name of one, else a text that nearly each item has for itself."""
    own = [column for column in columns if _is_text(column) and 2 * len(column.distinct) > len(column.texts)]
    named = [column for column in own if column.named(words.TITLE) and not column.named(words.TEXT)]
    short = [column for column in own if column.mean_length < 80 and any(" " in text for text in column.distinct[:50])]
    return next(iter(named or short), None)


def _is_text(column: Column) -> bool:
    return bool(len(column.texts)) and column.numbers is None and column.time_format is None and not _is_address(column)


def _is_address(column: Column) -> bool:
    return all("://" in text for text in column.distinct[:50])


def _is_flag(column: Column) -> bool:
    return {*column.distinct} <= {"0", "1", "0.0", "1.0"} and column.numbers is not None and not column.missing


def _matches(column: Column, pattern: str) -> bool:
    return sum(bool(re.fullmatch(pattern, text)) for text in column.distinct) > 0.8 * len(column.distinct)


Found = tuple[dict[str, object], str]
"""The keys of an attribute, and what was assumed of it."""


def _item_attribute(column: Column) -> Found | str:
    """An attribute of items, or why a column is left out."""
    if column.lists:
        return _categories(column, "", f"{column.name!r} holds lists")
    if column.separator is not None:
        note = f"{column.name!r} holds several values, separated by {column.separator!r}"
        return _categories(column, column.separator, note)
    found = _single(column)
    if not isinstance(found, str):
        keys, note = found
        return (keys if "buckets" in keys else {**keys, "term": True}), note
    if _is_text(column) and any(" " in text for text in column.distinct[:50]):
        return {"kind": "text", "column": column.name}, f"{column.name!r} holds texts, most of them said once"
    dated = column.time_format is not None and _matches(column, DATED_YEAR)
    if dated and len({text[:4] for text in column.distinct}) >= YEARS:
        keys = {"kind": "number", "column": column.name, "pattern": DATED_YEAR, "whole": True}
        return {**keys, "quantiles": BUCKETS, "term": True}, f"{column.name!r} holds dates, of which the year is taken"
    return found


def _categories(column: Column, separator: str, note: str) -> Found:
    keys: dict[str, object] = {"kind": "categories"}
    singular = words.singular(words.slug(column.name))
    if singular != words.slug(column.name):
        keys["singular"] = singular
    keys["column"] = column.name
    if separator:
        keys["separator"] = separator
    return {**keys, "term": True}, note + _lacking(column)


def _single(column: Column) -> Found | str:
    """An attribute with one value, or why a column is left out."""
    reason = _no_attribute(column)
    if reason:
        return reason
    if column.numbers is not None and not _is_code(column):
        return _number(column)
    if not column.shared:
        return "most values are of one row only"
    n = len(column.distinct)
    if n > MOST_VALUES:
        return f"there are {n:,} values, more than a category can have"
    return {"kind": "category", "column": column.name}, f"{column.name!r} has {n} values{_lacking(column)}"


def _no_attribute(column: Column) -> str:
    """The reason why a column says nothing; empty where it may say something."""
    if column.nested:
        return "objects and lists are no single value"
    if not len(column.texts):
        return "no row has a value"
    if len(column.distinct) == 1:
        return f"each value is {column.distinct[0][:40]!r}"
    if column.decimal_commas:
        return "numbers with a decimal comma are not read; write them with a point"
    if column.time_format is not None:
        return "times are no attribute"
    return "addresses are no attribute" if _is_address(column) else ""


def _is_code(column: Column) -> bool:
    """True for whole numbers that are names rather than amounts, and for few of which that cannot be told."""
    return column.whole and column.shared and (column.named(words.CODE) or len(column.distinct) <= FEW_NUMBERS)


def _number(column: Column) -> Found:
    assert column.numbers is not None
    low, high = float(column.numbers.min()), float(column.numbers.max())
    keys: dict[str, object] = {"kind": "number", "column": column.name}
    if column.whole:
        keys["whole"] = True
    if len(np.unique(column.numbers)) > 2:
        keys["quantiles"] = BUCKETS
    else:
        keys["buckets"] = [high]
    return keys, f"{column.name!r} holds numbers from {low:g} to {high:g}{_lacking(column)}"


def _lacking(column: Column) -> str:
    return f"; {column.missing:,} of {column.rows:,} rows have none" if column.missing else ""
