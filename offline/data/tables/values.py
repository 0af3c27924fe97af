"""Columns of files as whole numbers, numbers, times, texts and ids. An error names the line and the value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.dataset.files import ISO, TIME_UNITS
from features.dataset.part import MAX_ID, MAX_ID_LENGTH, MAX_SECONDS
from offline.data.tables import arrow
from offline.data.tables.files import RawTable

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MICROSECONDS = 1_000_000
"""In a second."""

LIMIT = 2**62
"""Microseconds beyond any time, which INT64 still holds."""

ZONED = r"[Tt ]\d.*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"
"""An ISO time with a zone."""

ID_TYPES = {"integer": pa.int64(), "string": pa.string()}


def ids(table: RawTable, column: str, kind: str) -> Any:
    """Ids as an Arrow array without nulls, INT64 or string.

    Raises:
        DataError: naming the first line with another value.
    """
    if kind == "string":
        names = texts(table, column)
        length = arrow.whole(pc.utf8_length(names))
        control = arrow.true(pc.match_substring_regex(names, r"[\x00-\x1f\x7f]"))
        valid = (length > 0) & (length <= MAX_ID_LENGTH) & ~control
        _require(table, column, valid, f"an id of 1 to {MAX_ID_LENGTH} characters without control characters")
        return names
    rule = f"a whole number from 1 to {MAX_ID}"
    whole = _whole(table, column, rule)
    _require(table, column, (whole >= 1) & (whole <= MAX_ID), rule)
    return arrow.numbers(whole)


def numbers(table: RawTable, column: str, rule: str) -> Floats:
    """Numbers, FP64, NaN where there is none.

    Raises:
        DataError: naming the first line with another value.
    """
    values = table.columns[column]
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    elif not pa.types.is_null(values.type):
        values = _cast(table, column, pa.float64(), rule)
    out = arrow.real(values)
    _require(table, column, np.isfinite(out) | arrow.null(values), rule)
    return out


def times(table: RawTable, column: str, time_format: str) -> Ints:
    """Times in microseconds since 1970, INT64.

    Raises:
        DataError: naming the first line with another value.
    """
    values = table.columns[column]
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        micros = _microseconds(table, column, values.cast(pa.timestamp("us"), safe=False), "a time")
    elif time_format in TIME_UNITS:
        micros = _in_units(table, column, time_format)
    elif time_format == ISO:
        micros = _iso(table, column)
    else:
        parsed = pc.strptime(texts(table, column), format=time_format, unit="us", error_is_null=True)
        micros = _microseconds(table, column, parsed, f"a time in the format {time_format!r}")
    inside = (micros >= 0) & (micros <= MAX_SECONDS * MICROSECONDS)
    _require(table, column, inside, "a time from 1970 to 2106 (see `time_format`)")
    return micros


def texts(table: RawTable, column: str) -> Any:
    """Texts as an Arrow array with nulls; whole numbers and dates as they are usually written."""
    values = table.columns[column]
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_floating(values.type):
        numbers_ = arrow.real(values.drop_null())
        # A column of whole numbers of which some are missing is one of numbers with a point, in pandas.
        if (numbers_ == np.floor(numbers_)).all():
            values = values.cast(pa.int64(), safe=False)
    if pa.types.is_nested(values.type):
        raise table.error(int(np.flatnonzero(~arrow.null(values))[0]), column, "a single value")
    return values.cast(pa.string())


def _microseconds(table: RawTable, column: str, timestamps: Any, rule: str) -> Ints:
    _require(table, column, ~arrow.null(timestamps), rule)
    return arrow.whole(timestamps.cast(pa.int64()))


def _in_units(table: RawTable, column: str, unit: str) -> Ints:
    values, rule = table.columns[column], f"a number ({unit} since 1970)"
    scale = TIME_UNITS[unit]
    if pa.types.is_floating(values.type) or (
        pa.types.is_string(values.type) and arrow.true(pc.match_substring(values, ".")).any()
    ):
        scaled = np.round(numbers(table, column, rule) * (scale or 1e-3))
        # NaN and what INT64 cannot hold are no times.
        valid = np.abs(scaled) < LIMIT
        _require(table, column, valid, rule)
        return scaled.astype(np.int64)
    whole = _whole(table, column, rule)
    return whole // 1000 if unit == "ns" else np.clip(whole, -LIMIT // scale, LIMIT // scale) * scale


def _iso(table: RawTable, column: str) -> Ints:
    """ISO times, with and without zones, in microseconds."""
    names, rule = texts(table, column), "an ISO time such as 2024-05-01T12:30:00Z"
    _require(table, column, ~arrow.null(names), rule)
    zoned = arrow.true(pc.match_substring_regex(names, ZONED))
    micros = np.zeros(len(names), dtype=np.int64)
    for rows, kind in ((zoned, pa.timestamp("us", "UTC")), (~zoned, pa.timestamp("us"))):
        some = arrow.where(rows, names)
        try:
            parsed = some.cast(kind)
        except pa.ArrowInvalid:
            _require(table, column, _castable(some, kind), rule)
            raise
        micros[rows] = arrow.whole(parsed.cast(pa.int64()))[rows]
    return micros


def _whole(table: RawTable, column: str, rule: str) -> Ints:
    """Whole numbers, of which none is missing."""
    values = table.columns[column]
    _require(table, column, ~arrow.null(values), rule)
    if pa.types.is_boolean(values.type):
        raise table.error(0, column, rule)
    return arrow.whole(_cast(table, column, pa.int64(), rule))


def _cast(table: RawTable, column: str, kind: Any, rule: str) -> Any:
    values = table.columns[column]
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        _require(table, column, _castable(values, kind), rule)
        raise


def _castable(values: Any, kind: Any) -> Flags:
    """True for each value that can be cast, up to the first that cannot: a search in halves."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            values.slice(low, middle - low).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
        else:
            low = middle
    valid: Flags = np.arange(len(values)) != low
    return valid


def _require(table: RawTable, column: str, valid: Flags, rule: str) -> None:
    """Refuse the first row that is not valid."""
    if not valid.all():
        raise table.error(int(np.argmin(valid)), column, rule)
