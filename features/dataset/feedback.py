"""Feedback: what an event of a type says of a user and an item."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from features.dataset.part import Part

ALWAYS, NEVER = "always", "never"

MOST_LISTED = 100
"""Most values of a type that are kept as they are."""

COMPARISON = re.compile(r"value\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Condition:
    """A condition on the value of an event: `always`, `never`, or a comparison.

    >>> Condition("value >= 4").holds(4.0), Condition("never").holds(4.0)
    (True, False)
    """

    text: str

    def __post_init__(self) -> None:
        if self.text not in {ALWAYS, NEVER} and not COMPARISON.fullmatch(self.text):
            raise ValueError("must be 'always', 'never', or a comparison such as 'value >= 4'")

    @property
    def needs_value(self) -> bool:
        """True for a comparison."""
        return self.text not in {ALWAYS, NEVER}

    @property
    def possible(self) -> bool:
        """True unless no event can meet it."""
        return self.text != NEVER

    @property
    def bound(self) -> float:
        """The number that the value is compared with; 0 where it is not."""
        match = COMPARISON.fullmatch(self.text)
        return float(match[2]) if match else 0.0

    def holds(self, value: Any) -> Any:
        """Apply the condition to a value, or to an array of values; one that is NaN only meets `always` and `!=`."""
        match = COMPARISON.fullmatch(self.text)
        if match:
            return OPERATORS[match[1]](value, float(match[2]))
        met = self.text == ALWAYS
        return np.full(np.shape(value), met) if np.ndim(value) else met

    def overlaps(self, other: Condition) -> bool:
        """Return True if some value meets both conditions."""
        bounds = {self.bound, other.bound}
        between = {sum(bounds) / 2, min(bounds) - 1, max(bounds) + 1}
        return any(self.holds(value) and other.holds(value) for value in bounds | between)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda condition: condition.text),
        )

    @classmethod
    def _validated(cls, value: object) -> Condition:
        if isinstance(value, Condition):
            return value
        return cls(value if isinstance(value, str) else "")


class ValueRange(Part):
    """Bounds of the values of an event.

    Attributes:
        minimum, maximum: the least and the greatest value.
        whole: True if values are whole numbers.
    """

    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> ValueRange:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("has a minimum above its maximum")
        return self

    @property
    def listed(self) -> bool:
        """True if the values are a few whole numbers, so that each is kept as it is."""
        if not self.whole or self.minimum is None or self.maximum is None:
            return False
        return self.maximum - self.minimum < MOST_LISTED

    def holds(self, value: float) -> bool:
        """Return True if a number keeps to the bounds.

        >>> ValueRange(minimum=1, maximum=5, whole=True).holds(3.5)
        False
        """
        if not math.isfinite(value) or (self.whole and value != int(value)):
            return False
        low = self.minimum is None or value >= self.minimum
        return low and (self.maximum is None or value <= self.maximum)

    def rule(self) -> str:
        """The rule as words that follow "must be".

        >>> ValueRange(minimum=1, maximum=5, whole=True).rule()
        'a whole number from 1 to 5'
        """
        bounds = ""
        if self.minimum is not None and self.maximum is not None:
            bounds = f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            bounds = f" of at least {self.minimum:g}"
        elif self.maximum is not None:
            bounds = f" of at most {self.maximum:g}"
        return f"a {'whole ' if self.whole else ''}number{bounds}"


class Feedback(Part):
    """The meaning of an event of a type. One that is neither positive nor negative is an exposure.

    Attributes:
        positive, negative: conditions on the event's value.
        value: bounds of its value; events of the type must have one then.
        weight: of a positive or negative event in training.
        identity: `replace` if a later event of a user, an item and this type takes the place of the earlier one;
            `accumulate` if each counts.
        precedence: has no effect, as an event only ever takes the place of one of its own type.
        hides: True if the item is no longer recommended to the user.
        target: True if the models learn to predict positive events of the type.
    """

    positive: Condition = Condition(NEVER)
    negative: Condition = Condition(NEVER)
    value: ValueRange | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    identity: Literal["replace", "accumulate"] = "accumulate"
    precedence: int = 0
    hides: bool = True
    target: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Feedback:
        if self.positive.overlaps(self.negative):
            raise ValueError(
                f"has events that are both positive ({self.positive.text}) and negative ({self.negative.text})"
            )
        if self.needs_value and self.value is None:
            raise ValueError("compares a value, and so needs `value`, if only as `value = {}`")
        return self

    @property
    def needs_value(self) -> bool:
        """True if events of the type must have a value."""
        return self.value is not None or self.positive.needs_value or self.negative.needs_value
