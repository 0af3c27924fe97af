"""Attributes of items and users as the data set has them: their description, with what the data taught."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from features.catalogue import UNKNOWN, ItemValue
from features.dataset.attributes import Attribute as Description
from features.dataset.attributes import Categories, Category, Number, Text, Title

MOST_WINDOWED = 64
"""Most values of a term whose counts are also kept for the last events, and which has a column for each value."""

LEAST_LENGTH = 2
"""Least length of a list with a place for each value, so that no list is mistaken for a number."""


class LearnedAttribute(BaseModel):
    """The part of an attribute that its description leaves to the data.

    Attributes:
        values: names of the values, or of the buckets of a number.
        bounds: of the buckets.
        center, scale: median and interquartile range of a number; models see (number - center) / scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    center: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Attribute:
    """An attribute.

    Attributes:
        name: as the description has it.
        singular: name of one of its values, as in the names of counts and features.
        kind: `category`, `categories`, `number`, `text` or `title`.
        values: names of the values, or of the buckets of a number; a value's place is its code.
        term: True if it is used for term recall.
        of: the attribute that it is derived from; empty where it is read from a column.
        whole: True for a number that is always whole.
        bounds: of the buckets of a number, ascending; a bound belongs to the bucket above it.
        center, scale: models see (number - center) / scale.
    """

    name: str
    singular: str
    kind: str
    values: tuple[str, ...] = ()
    term: bool = False
    of: str = ""
    whole: bool = False
    bounds: tuple[float, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    @classmethod
    def of_description(cls, name: str, described: Description, learned: LearnedAttribute) -> Attribute:
        """The attribute of a description, with what is learned where that leaves something open."""
        if isinstance(described, Text | Title):
            return cls(name, name, described.kind, of=described.of)
        if isinstance(described, Number):
            return cls(
                name,
                described.singular or name,
                described.kind,
                described.values or learned.values,
                described.term,
                described.of,
                described.whole,
                described.buckets or learned.bounds,
                learned.center if described.center is None else described.center,
                learned.scale if described.scale is None else described.scale,
            )
        assert isinstance(described, Category | Categories)
        declared = described.values or (described.flags if isinstance(described, Categories) else ())
        values = declared or learned.values
        return cls(name, described.singular or name, described.kind, values, described.term, described.of)

    @property
    def categorical(self) -> bool:
        """True if its values are categories."""
        return self.kind in {"category", "categories"}

    @property
    def term_field(self) -> str:
        """Name of the field with its values as terms, where a number has one of its own too."""
        return self.name if self.categorical or self.of else f"{self.name}_bucket"

    @property
    def windowed(self) -> bool:
        """True for a term with counts over the last events, and a column for each value."""
        return self.term and self.categorical and len(self.values) <= MOST_WINDOWED

    @property
    def length(self) -> int:
        """Length of a list with a place for each value."""
        return max(LEAST_LENGTH, len(self.values))

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each value by its name."""
        return {name: code for code, name in enumerate(self.values)}

    def bucket(self, number: float | None) -> int:
        """The code of a number's bucket, UNKNOWN where the number is missing."""
        if number is None or math.isnan(number) or not self.values:
            return UNKNOWN
        return bisect_right(self.bounds, number)

    def codes_of(self, value: ItemValue) -> tuple[int, ...]:
        """The codes of the values, or of the bucket, of an item."""
        if isinstance(value, tuple):
            return value
        if self.kind == "category":
            code = value if isinstance(value, int) else UNKNOWN
        else:
            code = UNKNOWN if isinstance(value, str) else self.bucket(value)
        return () if code == UNKNOWN else (code,)

    def number_of(self, value: ItemValue) -> float:
        """A number as models take it, the center where it is missing; a whole one where all are."""
        number = self.center if value is None else value
        assert isinstance(number, int | float)
        return round(number) if self.whole else float(number)

    def shown(self, value: ItemValue) -> int | float | str | list[str] | None:
        """A value as people see it: names in place of codes.

        >>> Attribute("genres", "genre", "categories", ("Drama", "War")).shown((0, 1))
        ['Drama', 'War']
        """
        if isinstance(value, tuple):
            return [self.values[code] for code in value]
        if self.kind == "category":
            return self.values[value] if isinstance(value, int) and value != UNKNOWN else None
        return value
