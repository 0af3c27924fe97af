"""Codes: what an event says, its type and its value, as one small number.

Profiles, seen filters and models hold codes. A type whose values are whole numbers between two bounds has a code for
each value. Any other type has one code for each meaning that its events can have: positive, negative, or mere exposure.
Codes begin at 1, in the order of the types; where the only type has the values 1 to 5, they are these values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.dataset.feedback import Feedback

MOST_CODES = 254
"""Most codes: one is a byte, and 0 is padding."""

EXPOSURE_LEVEL = 0.1
"""Level of an event that is neither positive nor negative."""

HALF_LIFE_DAYS = 30
"""Days after which an event has half its weight among the terms, unless the description says."""

DAY_S = 86_400

MOST_WEIGHT = 1 << 10
"""The greatest weight of an event among the terms, of which those of other codes are parts."""


@dataclass(frozen=True)
class Code:
    """The meaning of a code.

    Attributes:
        type: of the event.
        value: of the event, where it has a code of its own.
        positive, negative: the meaning.
    """

    type: str
    value: float | None
    positive: bool
    negative: bool


class Codes:
    """The codes of a data set.

    Args:
        feedback: by type of event.
        half_life_days: after which an event has half its weight among the terms.

    Attributes:
        types: the types.
        codes: what each code from 1 stands for.
        half_life_s: the half-life in seconds.

    Raises:
        ValueError: if there are more than MOST_CODES.

    >>> from features.dataset.feedback import Condition
    >>> shop = Codes({"view": Feedback(), "purchase": Feedback(positive=Condition("always"))})
    >>> shop.code("purchase", None), shop.name(2), shop.positive
    (2, 'purchase', (False, False, True))
    """

    def __init__(self, feedback: Mapping[str, Feedback], half_life_days: int = HALF_LIFE_DAYS) -> None:
        self._feedback, self.half_life_s = dict(feedback), half_life_days * DAY_S
        self.types = tuple(feedback)
        self.codes = tuple(code for name, rule in feedback.items() for code in codes_of(name, rule))
        if len(self.codes) > MOST_CODES:
            raise ValueError(f"needs at most {MOST_CODES} types and values together, and has {len(self.codes)}")
        self._by_value = {(code.type, code.value): number for number, code in enumerate(self.codes, 1)}
        self._by_meaning = {
            (code.type, code.positive, code.negative): number
            for number, code in enumerate(self.codes, 1)
            if code.value is None
        }

    @property
    def size(self) -> int:
        """One more than the greatest code."""
        return len(self.codes) + 1

    @cached_property
    def single(self) -> bool:
        """True if there is only one type."""
        return len(self.types) == 1

    def code(self, name: str, value: float | None) -> int:
        """The code of an event.

        Raises:
            ValueError: if there is no such type, or it cannot have such a value; the message is a rule that follows the
                name of the field.
        """
        rule = self._feedback.get(name)
        if rule is None:
            raise ValueError(f"must be one of {', '.join(self.types)}")
        if not rule.needs_value:
            if value is not None:
                raise ValueError(f"must be absent, as events of the type {name} have no value")
            return self._by_value.get((name, None)) or self._by_meaning[name, False, False]
        bounds = rule.value
        assert bounds is not None
        if value is None or not bounds.holds(value):
            raise ValueError(f"must be {bounds.rule()}")
        if bounds.listed:
            return self._by_value[name, float(value)]
        return self._by_meaning[name, bool(rule.positive.holds(value)), bool(rule.negative.holds(value))]

    def has_value(self, name: str) -> bool:
        """Return True if events of a type have a value."""
        return self._feedback[name].needs_value

    def whole(self, name: str) -> bool:
        """Return True if the values of a type are whole numbers."""
        bounds = self._feedback[name].value
        return bounds is not None and bounds.whole

    def type(self, code: int) -> str:
        """The type of an event with a code from 1."""
        return self.codes[code - 1].type

    def value(self, code: int) -> float | None:
        """The value of an event with a code from 1, where that tells it."""
        return self.codes[code - 1].value

    def name(self, code: int) -> str:
        """A code for people: the value where there is one, else the type."""
        value = self.codes[code - 1].value
        if value is None:
            return self.codes[code - 1].type
        return f"{value:g}" if self.single else f"{self.codes[code - 1].type} {value:g}"

    @cached_property
    def type_number(self) -> tuple[int, ...]:
        """Place in the types, by code; 0 for the code 0."""
        return (0, *(self.types.index(code.type) for code in self.codes))

    @cached_property
    def positive(self) -> tuple[bool, ...]:
        """True for a positive event, by code."""
        return (False, *(code.positive for code in self.codes))

    @cached_property
    def negative(self) -> tuple[bool, ...]:
        """True for a negative event, by code."""
        return (False, *(code.negative for code in self.codes))

    @cached_property
    def hides(self) -> tuple[bool, ...]:
        """True for an event that hides its item from the user's lists, by code."""
        return (False, *(self._feedback[code.type].hides for code in self.codes))

    @cached_property
    def target(self) -> tuple[bool, ...]:
        """True for a positive event that models learn to predict, by code."""
        return (False, *(code.positive and self._feedback[code.type].target for code in self.codes))

    @cached_property
    def replaces(self) -> tuple[bool, ...]:
        """True for an event that takes the place of the earlier one of its user, item and type, by code."""
        return (False, *(self._feedback[code.type].identity == "replace" for code in self.codes))

    @cached_property
    def all_hide(self) -> bool:
        """True if an event of any type hides its item."""
        return all(rule.hides for rule in self._feedback.values())

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """Weight in training, by code; 0 for the code 0."""
        return (0.0, *(self._feedback[code.type].weight for code in self.codes))

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The weight of an event as evidence, by code: its value, or where types differ, its signed weight."""
        if self.single and all(code.value is not None for code in self.codes):
            return (0.0, *(float(code.value or 0.0) for code in self.codes))
        return (0.0, *(self._level(code) for code in self.codes))

    def _level(self, code: Code) -> float:
        weight = self._feedback[code.type].weight
        if code.positive:
            return weight
        return -weight if code.negative else EXPOSURE_LEVEL * weight

    @cached_property
    def term_weights(self) -> tuple[int, ...]:
        """The weight of an event among the terms, by code; the greatest is MOST_WEIGHT, 0 for the code 0.

        A negative event takes half the weight of its type away, and a mere exposure adds a tenth. Weights are parts of
        the greatest, rounded to the nearest whole number, halves away from 0.
        """
        exact = [self._term_weight(code) for code in self.codes]
        most = max(map(abs, exact))
        parts = [int(abs(weight) * MOST_WEIGHT / most + Fraction(1, 2)) for weight in exact]
        return (0, *(part if weight > 0 else -part for part, weight in zip(parts, exact, strict=True)))

    def _term_weight(self, code: Code) -> Fraction:
        weight = Fraction(self._feedback[code.type].weight)
        if code.positive:
            return weight
        return -weight / 2 if code.negative else weight / 10

    @cached_property
    def positive_array(self) -> npt.NDArray[np.bool_]:
        """`positive` as an array, bool [size]."""
        return np.array(self.positive)

    @cached_property
    def target_array(self) -> npt.NDArray[np.bool_]:
        """`target` as an array, bool [size]."""
        return np.array(self.target)

    @cached_property
    def hides_array(self) -> npt.NDArray[np.bool_]:
        """`hides` as an array, bool [size]."""
        return np.array(self.hides)

    @cached_property
    def type_array(self) -> npt.NDArray[np.int64]:
        """`type_number` as an array, INT64 [size]."""
        return np.array(self.type_number, dtype=np.int64)

    @cached_property
    def level_array(self) -> npt.NDArray[np.float32]:
        """`levels` as an array, FP32 [size]."""
        return np.array(self.levels, dtype=np.float32)

    @cached_property
    def weight_array(self) -> npt.NDArray[np.float32]:
        """`weights` as an array, FP32 [size]."""
        return np.array(self.weights, dtype=np.float32)


def codes_of(name: str, rule: Feedback) -> Iterator[Code]:
    """The codes of a type."""
    bounds = rule.value
    if bounds is not None and bounds.listed:
        assert bounds.minimum is not None and bounds.maximum is not None
        for value in range(int(bounds.minimum), int(bounds.maximum) + 1):
            yield Code(name, float(value), bool(rule.positive.holds(value)), bool(rule.negative.holds(value)))
        return
    if not rule.needs_value:
        # Without a value, only `always` is met.
        yield Code(name, None, bool(rule.positive.holds(np.nan)), bool(rule.negative.holds(np.nan)))
        return
    if rule.positive.possible:
        yield Code(name, None, True, False)
    if rule.negative.possible:
        yield Code(name, None, False, True)
    yield Code(name, None, False, False)
