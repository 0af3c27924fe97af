"""Attributes of items and users, each from a column of their file, or derived from another attribute."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from features.dataset.part import Floats, Name, Part, Strings

MOST = 1000
"""Most values that are learned of an attribute, unless it says how many."""


class FromColumn(Part):
    """An attribute, and where it comes from.

    Attributes:
        column: of the file of items or users.
        of: another attribute, in place of a column.
        pattern: regular expression with one group, which the whole text must match; the group is the value. A text
            that does not match is a missing value.
        required: True if a missing value is an error.
        term: True if the attribute's values are used for term recall.
    """

    column: str = ""
    of: str = ""
    pattern: str = ""
    required: bool = False
    term: bool = False

    @field_validator("pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"must be a regular expression ({error})") from None
        if pattern and groups != 1:
            raise ValueError(f"must have one group, and has {groups}")
        return pattern

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the attribute is read from."""
        return (self.column,) if self.column else ()

    @property
    def has_terms(self) -> bool:
        """True if the attribute has values that can be terms."""
        return False

    def _one_source(self) -> None:
        if bool(self.column) == bool(self.of):
            raise ValueError("needs either `column` or `of` (another attribute)")


class Categorical(FromColumn):
    """An attribute with values from a set.

    Attributes:
        singular: name of one value, as in names of counts and features; the attribute's own name where there is none.
        values: the declared values; a value's place here is its number everywhere. None: they are learned.
        most: how many values are learned; rarer ones count as missing.
        undeclared: `refuse` if a value that is not declared is an error; `missing` if it counts as missing.
    """

    singular: Name | None = None
    values: Strings = ()
    most: Annotated[int, Field(ge=1)] = MOST
    undeclared: Literal["refuse", "missing"] = "refuse"

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len({*values}) < len(values):
            raise ValueError("names a value twice")
        return values

    @property
    def has_terms(self) -> bool:
        return True


class Category(Categorical):
    """An attribute with one value.

    Attributes:
        default: the value where it is missing.
    """

    kind: Literal["category"]
    default: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Category:
        self._one_source()
        if self.default and self.values and self.default not in self.values:
            raise ValueError(f"has the default {self.default!r}, which is not among its values")
        return self


class Categories(Categorical):
    """An attribute with any number of values.

    Attributes:
        separator: between the values in a text; none where the column holds lists.
        flags: columns of 0 and 1, in place of a column; each is a value of its name.
    """

    kind: Literal["categories"]
    separator: str = ""
    flags: Strings = ()

    @model_validator(mode="after")
    def _consistent(self) -> Categories:
        if not self.flags:
            self._one_source()
        elif self.column or self.of or self.pattern or self.separator:
            raise ValueError("has `flags`, and so no column, `of`, pattern or separator")
        elif len({*self.flags}) < len(self.flags):
            raise ValueError("names a column twice in `flags`")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return self.flags or super().columns


class Number(FromColumn):
    """An attribute that is a number, and can be cut into buckets, which are ordered values.

    Attributes:
        minimum, maximum, whole: the rule for its values.
        default: the number where it is missing.
        buckets: ascending bounds: n bounds make n + 1 buckets, and a bound belongs to the bucket above it.
        quantiles: number of buckets with as many items (or users) each, as the bounds are learned.
        step: width of buckets that begin at its multiples; there are as many as the data needs.
        values: names of the buckets of `buckets`.
        singular: name of one bucket, as in names of counts and features; the attribute's own name where there is none.
        center, scale: models see (number - center) / scale; None: the median and the interquartile range.
    """

    kind: Literal["number"]
    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False
    default: float | None = None
    buckets: Floats = ()
    quantiles: Annotated[int, Field(ge=2, le=1000)] | None = None
    step: Annotated[float, Field(gt=0)] | None = None
    values: Strings = ()
    singular: Name | None = None
    center: float | None = None
    scale: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Number:
        self._one_source()
        if sum((bool(self.buckets), self.quantiles is not None, self.step is not None)) > 1:
            raise ValueError("needs at most one of `buckets`, `quantiles` and `step`")
        if list(self.buckets) != sorted({*self.buckets}):
            raise ValueError("needs buckets in ascending order")
        if self.values and (len(self.values) != len(self.buckets) + 1 or not self.buckets):
            raise ValueError(f"names {len(self.values)} values for {len(self.buckets)} bounds; it needs one value more")
        if len({*self.values}) < len(self.values):
            raise ValueError("names a value twice")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("has a minimum above its maximum")
        return self

    @property
    def has_terms(self) -> bool:
        return bool(self.buckets) or self.quantiles is not None or self.step is not None


class Text(FromColumn):
    """A text, for encoders of text."""

    kind: Literal["text"]

    @model_validator(mode="after")
    def _consistent(self) -> Text:
        self._one_source()
        return self


class Title(FromColumn):
    """The text by which an item is shown."""

    kind: Literal["title"]

    @model_validator(mode="after")
    def _consistent(self) -> Title:
        self._one_source()
        return self


Attribute = Annotated[Category | Categories | Number | Text | Title, Field(discriminator="kind")]
