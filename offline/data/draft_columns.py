"""A column of a file whose meaning nobody has described, and all that its values tell."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.dataset.files import ISO
from features.dataset.part import MAX_ID
from offline.data import draft_words as words
from offline.data.tables import arrow, values
from offline.data.tables.files import RawTable
from offline.data.tables.values import Floats
from offline.errors import DataError

SAMPLE = 200
"""Values that are looked at before all are read."""

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d-%b-%Y", "%d %b %Y", "%Y%m%d")
HOURS = (" %H:%M:%S", " %H:%M", "T%H:%M:%S", "")
FORMATS = (ISO, *(day + hour for day in DAYS for hour in HOURS))
"""Formats of times, in the order in which they are tried."""

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
EARLIEST_S = 631_152_000
"""1990. A number that would be an earlier time, or one of the future, is no time."""

YEAR_S = 31_557_600

SEPARATORS = ("|", ";", ",", "/")
"""Separators of several values in a text, in the order in which they are tried."""

SEVERAL = 0.05
"""Share of the texts that hold several values, from which on the column does."""

LONG = 40
"""Characters of a value from which on it is a text and no category, on average."""

NEARLY = 0.9
"""Share of the rows that keep a rule which others break by mistake; reading them names the first that does."""

NO_ID = 10
"""Distinct values up to which a column of events holds no ids, but for tiny files."""


class Column:
    """A column.

    Args:
        table: the columns of its file.
        name: its name.
    """

    def __init__(self, table: RawTable, name: str) -> None:
        self.table, self.name = table, name
        self.values: Any = table.columns[name]

    @property
    def rows(self) -> int:
        """The number of rows, those without a value too."""
        return self.table.rows

    @cached_property
    def missing(self) -> int:
        """Rows without a value."""
        return int(arrow.null(self.values).sum())

    @property
    def lists(self) -> bool:
        """True if each value is a list."""
        return bool(pa.types.is_list(self.values.type) or pa.types.is_large_list(self.values.type))

    @property
    def nested(self) -> bool:
        """True if values are lists or objects."""
        return bool(pa.types.is_nested(self.values.type))

    @cached_property
    def texts(self) -> Any:
        """The values as texts, an Arrow array; empty where they are nested."""
        if self.nested or pa.types.is_null(self.values.type):
            return pa.array([], pa.string())
        return values.texts(self.table, self.name).drop_null()

    @cached_property
    def counts(self) -> tuple[list[str], list[int]]:
        """(distinct texts, how often each is there), the most frequent first."""
        counted = pc.value_counts(self.texts)
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        return [text for text, _ in ordered], [count for _, count in ordered]

    @property
    def distinct(self) -> list[str]:
        """The distinct texts, the most frequent first."""
        return self.counts[0]

    @cached_property
    def numbers(self) -> Floats | None:
        """The values as numbers; None where one is none, or where they are truths, times or nested."""
        kind = self.values.type
        if not len(self.texts) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            return None
        try:
            found = values.numbers(self.table, self.name, "a number")
        except DataError:
            return None
        return found[~np.isnan(found)]

    @cached_property
    def whole(self) -> bool:
        """True if all values are whole numbers."""
        return self.numbers is not None and bool((self.numbers == np.floor(self.numbers)).all())

    @cached_property
    def integer_ids(self) -> bool:
        """True if all values can be integer ids, written as numbers usually are."""
        return (
            self.whole
            and self.numbers is not None
            and bool(((self.numbers >= 1) & (self.numbers <= MAX_ID)).all())
            and all(str(int(float(text))) == text for text in self.distinct)
        )

    @property
    def nearly_unique(self) -> bool:
        """True if nearly each row has a value of its own."""
        return len(self.distinct) >= NEARLY * self.rows

    @cached_property
    def id_like(self) -> bool:
        """True if the values may be ids: texts or whole numbers."""
        return bool(len(self.texts)) and (self.numbers is None or self.whole) and self.time_format is None

    @cached_property
    def time_format(self) -> str | None:
        """The format of times, None if the values are none; empty where the file says that they are times."""
        if self.missing > (1 - NEARLY) * self.rows:
            return None
        if pa.types.is_timestamp(self.values.type) or pa.types.is_date(self.values.type):
            return ""
        if not len(self.texts):
            return None
        if self.numbers is not None and not re.fullmatch(r"(19|20)\d{6}", self.distinct[0]):
            return self._unit()
        return next(self._formats(), None)

    @property
    def ambiguous_days(self) -> bool:
        """True if days and months could be taken for each other."""
        return len({text[:5] for text in self._formats() if text.startswith(("%d/%m", "%m/%d"))}) > 1

    def _unit(self) -> str | None:
        """The unit of numbers that are times."""
        assert self.numbers is not None
        latest = time.time() + YEAR_S
        for unit, scale in UNITS.items():
            if ((self.numbers >= EARLIEST_S * scale) & (self.numbers <= latest * scale)).all():
                return unit
        return None

    def _formats(self) -> Iterator[str]:
        """The formats in which all values are times."""
        sample = self.distinct[:SAMPLE]
        if not all(re.match(r"\d{1,4}[-/. ]?\w{2,3}[-/. ]?\d", text) for text in sample):
            return
        some = RawTable("", len(sample), {self.name: arrow.strings(sample)}, 1)
        present = self.table.filtered(~arrow.null(self.values)) if self.missing else self.table
        for text in FORMATS:
            if _reads(some, self.name, text) and _reads(present, self.name, text):
                yield text

    @cached_property
    def decimal_commas(self) -> bool:
        """True for numbers with commas in place of points, which are read as texts."""
        sample = self.distinct[:SAMPLE]
        return any("," in text for text in sample) and all(re.fullmatch(r"-?[\d.]*\d(,\d+)?", text) for text in sample)

    @cached_property
    def separator(self) -> str | None:
        """The separator of several values in a text; None where there is none."""
        plain = self.numbers is not None or self.time_format is not None or self.decimal_commas
        if self.lists or not len(self.texts) or plain:
            return None
        return next((separator for separator in SEPARATORS if self._separates(separator)), None)

    def _separates(self, separator: str) -> bool:
        """True if values that are separated so are shared by texts, and are no sentences."""
        whole, counts = self.counts
        holding = sum(count for text, count in zip(whole, counts, strict=True) if separator in text)
        if holding < SEVERAL * len(self.texts):
            return False
        parts: dict[str, int] = {}
        for text, count in zip(whole, counts, strict=True):
            for part in {piece.strip() for piece in text.split(separator)} - {""}:
                parts[part] = parts.get(part, 0) + count
        n = sum(parts.values())
        return bool(parts) and len(parts) < len(whole) and n >= 2 * len(parts) and _short(parts)

    @property
    def mean_length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.distinct)) / max(1, len(self.distinct))

    @property
    def shared(self) -> bool:
        """True if most rows share their value with others."""
        return len(self.texts) >= 2 * len(self.distinct)

    def named(self, among: frozenset[str]) -> bool:
        """True if the column's name has one of some words."""
        return words.names(self.name, among)


def _short(parts: dict[str, int]) -> bool:
    return sum(map(len, parts)) / len(parts) < LONG and all(len(part.split()) <= 5 for part in parts)


def _reads(table: RawTable, column: str, time_format: str) -> bool:
    try:
        values.times(table, column, time_format)
    except DataError:
        return False
    return True
