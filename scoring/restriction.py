"""Restrictions of a list: conditions that each of its items meets, and how many items of one kind it may have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from features import Schema
from features.attributes import Attribute
from features.columns import ItemTable
from scoring.order import Bools

TEXTS = {"text", "title"}
"""Kinds of attributes by which no list can be restricted."""

NAMED = 20
"""Most values that an error names."""


class RestrictionError(ValueError):
    """A restriction that the attributes of the items do not allow; the message says what to change."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The items that have at least one of some values of an attribute.

    Attributes:
        attribute: its name.
        values: names of its values, or of the buckets of a number.
    """

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """The items that have all of some values of an attribute.

    Attributes:
        attribute: its name.
        values: names of its values, or of the buckets of a number.
    """

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The items whose number lies between two bounds, which belong to the range; a missing one does not.

    Attributes:
        attribute: its name.
        low, high: the bounds; None where there is none.
    """

    attribute: str
    low: float | None
    high: float | None


Condition = AnyOf | AllOf | Between


@dataclass(frozen=True, slots=True)
class AtMost:
    """The most items of a list that have the same value of an attribute; an item without a value counts to none.

    Attributes:
        attribute: its name.
        items: how many.
    """

    attribute: str
    items: int


@dataclass(frozen=True, slots=True)
class Restriction:
    """The conditions and limits of a list.

    Attributes:
        conditions: each item meets all of them.
        at_most: at most so many items have the same value.
    """

    conditions: tuple[Condition, ...] = ()
    at_most: tuple[AtMost, ...] = ()

    @classmethod
    def of(cls, schema: Schema, conditions: Iterable[Condition] = (), at_most: Iterable[AtMost] = ()) -> Restriction:
        """The restriction by some attributes of the items.

        Raises:
            RestrictionError: if there is no such attribute or value, or the attribute is of another kind.
        """
        restriction = cls(tuple(conditions), tuple(at_most))
        for condition in restriction.conditions:
            attribute = _attribute(schema, condition.attribute)
            if isinstance(condition, Between):
                _check_range(attribute, condition)
            else:
                _check_values(attribute, condition.values)
        for limit in restriction.at_most:
            if not _attribute(schema, limit.attribute).values:
                raise RestrictionError(f"{limit.attribute} has no values to count items by, as it is a number")
            if limit.items < 1:
                raise RestrictionError(f"{limit.attribute} must allow at least 1 item of each value")
        return restriction

    def __bool__(self) -> bool:
        return bool(self.conditions or self.at_most)

    def mask(self, table: ItemTable) -> Bools:
        """True for the items of a catalogue that meet all conditions, bool [items]."""
        every = np.ones(len(table), dtype=bool)
        return reduce(np.logical_and, (_met(condition, table) for condition in self.conditions), every)


NO_RESTRICTION = Restriction()


def restrictable(schema: Schema) -> list[Attribute]:
    """The attributes of items by which lists can be restricted: all but texts."""
    return [attribute for attribute in schema.item_attributes if attribute.kind not in TEXTS]


def _attribute(schema: Schema, name: str) -> Attribute:
    known = {attribute.name: attribute for attribute in restrictable(schema)}
    if name not in known:
        others = f"there are: {', '.join(known)}" if known else "there are none"
        raise RestrictionError(f"{name} is not an attribute by which lists can be restricted; {others}")
    return known[name]


def _check_range(attribute: Attribute, between: Between) -> None:
    name, bounds = attribute.name, [bound for bound in (between.low, between.high) if bound is not None]
    if attribute.kind != "number":
        raise RestrictionError(f"{name} is not a number; give values in place of a range")
    if not bounds or not all(map(math.isfinite, bounds)):
        raise RestrictionError(f"{name} needs a lower or an upper bound, which is a number")
    if bounds != sorted(bounds):
        raise RestrictionError(f"{name} has a lower bound above the upper one")


def _check_values(attribute: Attribute, values: Sequence[str]) -> None:
    name, known = attribute.name, attribute.values
    if not known:
        raise RestrictionError(f"{name} is a number without buckets; give a range in place of values")
    if not values:
        raise RestrictionError(f"{name} needs at least one value")
    for value in values:
        if value not in attribute.codes:
            more = ", ..." if len(known) > NAMED else ""
            raise RestrictionError(f"{name} has no value {value!r}; there are: {', '.join(known[:NAMED])}{more}")


def _met(condition: Condition, table: ItemTable) -> Bools:
    """True for the items that meet a condition, bool [items]."""
    if isinstance(condition, Between):
        numbers = table.numbers(condition.attribute)
        met: Bools = ~np.isnan(numbers)
        if condition.low is not None:
            met &= numbers >= condition.low
        if condition.high is not None:
            met &= numbers <= condition.high
        return met
    known = _attribute(table.schema, condition.attribute).codes
    wanted = sorted({known[value] for value in condition.values})
    codes = table.codes(condition.attribute)
    if isinstance(condition, AllOf):
        columns = ((codes[:, code] > 0 if codes.ndim == 2 else codes == code) for code in wanted)
        return reduce(np.logical_and, columns)
    if codes.ndim == 1:
        return np.isin(codes, wanted)
    return reduce(np.logical_or, (codes[:, code] > 0 for code in wanted))
