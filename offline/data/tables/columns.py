"""Typed columns of attributes of items and users."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from offline.data.tables.values import Floats, Ints

MISSING = -1
"""The code of a missing value."""


@dataclass(frozen=True)
class Categorical:
    """One value of a set for each row.

    Attributes:
        names: the values; a value's place is its code.
        codes: INT64 [rows], MISSING where there is none.
    """

    names: tuple[str, ...]
    codes: Ints

    def values(self) -> list[str | None]:
        """The values as they are called."""
        return [self.names[code] if code >= 0 else None for code in self.codes.tolist()]

    def extended(self, rows: int) -> Categorical:
        """The same with further rows, of which nothing is known."""
        return Categorical(self.names, np.append(self.codes, np.full(rows, MISSING)))


@dataclass(frozen=True)
class MultiCategorical:
    """Any number of values of a set for each row.

    Attributes:
        names: the values; a value's place is its code.
        start: where a row's codes begin, INT64 [rows + 1].
        codes: ascending within a row and distinct, INT64.
    """

    names: tuple[str, ...]
    start: Ints
    codes: Ints

    def rows(self) -> list[tuple[int, ...]]:
        """The codes of each row."""
        codes, start = self.codes.tolist(), self.start.tolist()
        return [tuple(codes[begin:end]) for begin, end in pairwise(start)]

    def values(self) -> list[list[str]]:
        """The values of each row as they are called."""
        return [[self.names[code] for code in row] for row in self.rows()]

    def extended(self, rows: int) -> MultiCategorical:
        """The same with further rows, of which nothing is known."""
        return MultiCategorical(self.names, np.append(self.start, np.full(rows, self.start[-1])), self.codes)

    @classmethod
    def of(cls, names: tuple[str, ...], row: Ints, code: Ints, rows: int) -> MultiCategorical:
        """From pairs of row and code, in any order and any number of times."""
        pairs = np.unique(row * (len(names) + 1) + code)
        row, code = np.divmod(pairs, len(names) + 1)
        start = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
        return cls(names, start, code)


@dataclass(frozen=True)
class Numeric:
    """A number for each row.

    Attributes:
        numbers: FP64 [rows], NaN where there is none.
        bounds: of the buckets, declared or learned, FP64.
        buckets: the bucket of each row; None where there are none.
    """

    numbers: Floats
    bounds: Floats
    buckets: Categorical | None = None

    def extended(self, rows: int) -> Numeric:
        """The same with further rows, of which nothing is known."""
        buckets = None if self.buckets is None else self.buckets.extended(rows)
        return Numeric(np.append(self.numbers, np.full(rows, np.nan)), self.bounds, buckets)


@dataclass(frozen=True)
class Texts:
    """A text for each row, None where there is none."""

    texts: tuple[str | None, ...]

    def extended(self, rows: int) -> Texts:
        """The same with further rows, of which nothing is known."""
        return Texts((*self.texts, *[None] * rows))


Column = Categorical | MultiCategorical | Numeric | Texts
