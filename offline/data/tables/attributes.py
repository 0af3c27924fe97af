"""Attributes of items or users, from the columns of their file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.dataset import Attribute, Categories, Category, Number
from features.dataset.attributes import Categorical as CategoricalAttribute
from features.dataset.feedback import ValueRange
from offline.data.tables import arrow
from offline.data.tables.columns import MISSING, Categorical, Column, MultiCategorical, Numeric, Texts
from offline.data.tables.files import RawTable
from offline.data.tables.values import Floats, Ints, numbers, texts

NAMED = 12
"""Most values that an error names."""


def read_attributes(table: RawTable, attributes: Mapping[str, Attribute]) -> dict[str, Column]:
    """Read all attributes, by name, in the order of the description.

    Raises:
        DataError: naming the line of a value that its attribute cannot hold, or of one that is required and missing.
    """
    done: dict[str, Column] = {}

    def read(name: str) -> Column:
        if name not in done:
            attribute = attributes[name]
            column = attribute.column
            source = table
            if attribute.of:
                column = attribute.of
                source = table.with_column(column, _as_array(read(attribute.of)))
            done[name] = _Reader(source, column, name, attribute).read()
        return done[name]

    return {name: read(name) for name in attributes}


def _as_array(column: Column) -> Any:
    """An attribute as a column of a file, for those derived from it."""
    if isinstance(column, Numeric):
        return arrow.numbers(column.numbers, np.isnan(column.numbers))
    if isinstance(column, Categorical):
        return arrow.strings(column.values())
    assert isinstance(column, Texts), "a description derives nothing from several values"
    return arrow.strings(column.texts)


class _Reader:
    """Reads an attribute.

    Args:
        table: the file's columns.
        column: the one with the attribute; empty where it is read from flags.
        name: of the attribute.
        attribute: its description.
    """

    def __init__(self, table: RawTable, column: str, name: str, attribute: Attribute) -> None:
        self._source, self._column, self._name, self._attribute = table, column, name, attribute
        self._table = table.with_column(column, self._extracted()) if attribute.pattern else table

    def read(self) -> Column:
        attribute = self._attribute
        if isinstance(attribute, Number):
            return self._number(attribute)
        if isinstance(attribute, Categories):
            return self._categories(attribute)
        if isinstance(attribute, Category):
            return self._category(attribute)
        values = texts(self._table, self._column)
        self._require_all(arrow.null(values))
        return Texts(tuple(values.to_pylist()))

    def _extracted(self) -> Any:
        """The group of the pattern, null where the whole text does not match."""
        pattern = re.compile(self._attribute.pattern)
        matches = (text and pattern.fullmatch(text) for text in texts(self._source, self._column).to_pylist())
        return arrow.strings([match[1] if match else None for match in matches])

    def _require_all(self, missing: Any) -> None:
        """Refuse the first missing value of a required attribute."""
        if self._attribute.required and missing.any():
            row = int(np.flatnonzero(missing)[0])
            rule = f"a text that matches {self._attribute.pattern}" if self._attribute.pattern else "given"
            column = self._column
            if not column:
                column, rule = self._attribute.columns[0], f"1, or another column of {self._name}"
            elif self._name != column:
                rule = f"{rule}, from which {self._name} is read"
            raise self._source.error(row, column, rule)

    def _number(self, attribute: Number) -> Numeric:
        bounds = ValueRange(minimum=attribute.minimum, maximum=attribute.maximum, whole=attribute.whole)
        values = numbers(self._table, self._column, bounds.rule())
        missing = np.isnan(values)
        if len(outside := np.flatnonzero(~(missing | within(bounds, values)))):
            raise self._table.error(int(outside[0]), self._column, bounds.rule())
        if attribute.default is not None:
            values = np.where(missing, attribute.default, values)
        else:
            self._require_all(missing)
        return _cut(values, attribute)

    def _category(self, attribute: Category) -> Categorical:
        values = texts(self._table, self._column)
        if attribute.default:
            values = pc.coalesce(values, arrow.strings([attribute.default] * len(values)))
        self._require_all(arrow.null(values))
        names = attribute.values or _learned(values, attribute.most)
        rows = np.arange(len(values), dtype=np.int64)
        return Categorical(names, self._codes(values, rows, names, attribute))

    def _categories(self, attribute: Categories) -> MultiCategorical:
        row, values = self._flags(attribute) if attribute.flags else self._lists(attribute)
        names = attribute.values or attribute.flags or _learned(values, attribute.most)
        codes = self._codes(values, row, names, attribute)
        known = codes != MISSING
        column = MultiCategorical.of(names, row[known], codes[known], self._table.rows)
        self._require_all(np.diff(column.start) == 0)
        return column

    def _flags(self, attribute: Categories) -> tuple[Ints, Any]:
        """(row, value) of each flag that is set."""
        rule, rows, values = "0 or 1", [], []
        for name in attribute.flags:
            flags = np.nan_to_num(numbers(self._table, name, rule))
            if len(wrong := np.flatnonzero((flags != 0) & (flags != 1))):
                raise self._table.error(int(wrong[0]), name, rule)
            rows.append(np.flatnonzero(flags))
            values += [name] * len(rows[-1])
        return np.concatenate(rows), arrow.strings(values)

    def _lists(self, attribute: Categories) -> tuple[Ints, Any]:
        """(row, value) of each value of each list."""
        lists = self._table.columns[self._column]
        if not pa.types.is_list(lists.type) and not pa.types.is_large_list(lists.type):
            lists = texts(self._table, self._column)
            if attribute.separator:
                lists = pc.split_pattern(lists, attribute.separator)
            else:
                return np.flatnonzero(~arrow.null(lists)), lists.drop_null()
        row = arrow.whole(pc.list_parent_indices(lists))
        flat = RawTable(self._table.path, len(row), {self._column: pc.list_flatten(lists)}, 0)
        values = pc.utf8_trim_whitespace(texts(flat, self._column))
        given = arrow.whole(pc.utf8_length(values)) > 0
        return row[given], values.filter(arrow.flags(given))

    def _codes(self, values: Any, row: Ints, names: Sequence[str], attribute: CategoricalAttribute) -> Ints:
        codes = pc.index_in(values, value_set=arrow.strings(names))
        unknown = arrow.null(codes) & ~arrow.null(values)
        if attribute.values and attribute.undeclared == "refuse" and unknown.any():
            place = int(np.flatnonzero(unknown)[0])
            shown = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
            table = self._source.with_column(self._name, _at(row[place], values[place], self._table.rows))
            raise table.error(int(row[place]), self._name, f"one of {shown}")
        return arrow.whole(codes, MISSING)


def _at(row: int, value: Any, rows: int) -> Any:
    """A column with one value, which an error shows."""
    return arrow.strings([*[None] * row, value.as_py(), *[None] * (rows - row - 1)])


def within(bounds: ValueRange, values: Floats) -> Any:
    """True where a number keeps to its bounds."""
    inside = ~np.isnan(values)
    if bounds.minimum is not None:
        inside &= values >= bounds.minimum
    if bounds.maximum is not None:
        inside &= values <= bounds.maximum
    return inside & (values == np.floor(values)) if bounds.whole else inside


def _learned(values: Any, most: int) -> tuple[str, ...]:
    """The commonest values, by descending count, then by name."""
    counts = pc.value_counts(values.drop_null())
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return tuple(name for name, _ in sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:most])


def _cut(values: Floats, attribute: Number) -> Numeric:
    """The numbers, with their buckets."""
    present = values[~np.isnan(values)]
    bounds = np.array(attribute.buckets, dtype=np.float64)
    names = attribute.values
    if attribute.quantiles is not None and len(present):
        # A bound at the least value would leave the bucket below it empty.
        bounds = np.unique(np.quantile(present, np.arange(1, attribute.quantiles) / attribute.quantiles))
        bounds = bounds[bounds > present.min()]
    if attribute.step is not None and len(present):
        multiples = np.arange(np.floor(present.min() / attribute.step), np.floor(present.max() / attribute.step) + 1)
        bounds = multiples[1:] * attribute.step
        names = tuple(f"{multiple * attribute.step:g}" for multiple in multiples)
    if not attribute.has_terms:
        return Numeric(values, bounds)
    codes = np.where(np.isnan(values), MISSING, np.searchsorted(bounds, values, side="right"))
    return Numeric(values, bounds, Categorical(names or _bucket_names(bounds), codes.astype(np.int64)))


def _bucket_names(bounds: Floats) -> tuple[str, ...]:
    """Names of buckets.

    >>> _bucket_names(np.array([10.0, 20.0]))
    ('below 10', '10 to 20', '20 or more')
    """
    if not len(bounds):
        return ("any",)
    texts_ = [f"{bound:g}" for bound in bounds.tolist()]
    between = [f"{low} to {high}" for low, high in pairwise(texts_)]
    return (f"below {texts_[0]}", *between, f"{texts_[-1]} or more")
