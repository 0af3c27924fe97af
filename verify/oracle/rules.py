"""The meaning of events as the description of a data set has it: types, values, codes, and which events are valid.

An event is valid if its fields say a type that there is, with a value that the type can have, an id of the kind of the
data set for its user and its item, and a time. Its code is the number of its type and value: a type whose values are
at most MOST_LISTED whole numbers between two bounds has a code for each; a type without values has one; any other has
one for positive events, where it can have such, one for negative ones, where it can have such, and one for the rest.
Codes are numbered from 1, in the order of the types.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

Id = int | str

LARGEST_ID = 2_147_483_647
LONGEST_ID = 128
LARGEST_TS = 4_294_967_295
MOST_LISTED = 100
HALF_LIFE_DAYS = 30


class Past(NamedTuple):
    """A valid event of a user with an item: its code, and its time in unix seconds."""

    userid: Id
    itemid: Id
    code: int
    ts: int


@dataclass(frozen=True)
class Type:
    """A type of event.

    Attributes:
        name: of the type.
        number: its place in the description.
        first: its first code.
        fields: its table in the description.
    """

    name: str
    number: int
    first: int
    fields: dict[str, Any]

    @property
    def bounds(self) -> dict[str, Any] | None:
        """The bounds of its values; None where it has none."""
        bounds: dict[str, Any] | None = self.fields.get("value")
        return bounds

    @property
    def replaces(self) -> bool:
        """True if an event takes the place of the earlier one of its user and item."""
        return bool(self.fields.get("identity", "accumulate") == "replace")

    @cached_property
    def meanings(self) -> list[tuple[float | None, str]]:
        """For each code of the type (value, meaning); the value is None where the code does not tell it."""
        bounds = self.bounds
        if bounds is None:
            always = [meaning for meaning in ("positive", "negative") if self.fields.get(meaning) == "always"]
            return [(None, always[0] if always else "exposure")]
        low, high = bounds.get("minimum"), bounds.get("maximum")
        if bounds.get("whole", False) and low is not None and high is not None and high - low < MOST_LISTED:
            return [(float(value), self.meaning(value)) for value in range(int(low), int(high) + 1)]
        possible = [meaning for meaning in ("positive", "negative") if self.fields.get(meaning, "never") != "never"]
        return [(None, meaning) for meaning in [*possible, "exposure"]]

    def meaning(self, value: float) -> str:
        """The meaning of a value: positive, negative or exposure."""
        for meaning in ("positive", "negative"):
            if _meets(self.fields.get(meaning, "never"), value):
                return meaning
        return "exposure"

    def code(self, value: object) -> int | None:
        """The code of an event with a value, or with None; None where it cannot have that."""
        if self.bounds is None:
            return None if value is not None else self.first
        number = _number(value)
        if number is None or not self._allows(number):
            return None
        meaning = self.meaning(number)
        codes = (
            self.first + place
            for place, (listed, of_code) in enumerate(self.meanings)
            if listed == number or (listed is None and of_code == meaning)
        )
        return next(codes, None)

    def _allows(self, number: float) -> bool:
        assert self.bounds is not None
        low, high = self.bounds.get("minimum"), self.bounds.get("maximum")
        if self.bounds.get("whole", False) and number != math.floor(number):
            return False
        return (low is None or number >= low) and (high is None or number <= high)


def _number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _meets(condition: str, value: float) -> bool:
    """Apply a condition to a value.

    >>> _meets("value >= 4", 4.0), _meets("always", 1.0), _meets("value!=-2", -2.0)
    (True, True, False)
    """
    if not condition.startswith("value"):
        return condition == "always"
    comparison = condition.removeprefix("value").strip()
    sign = comparison.rstrip("0123456789.- ")
    bound = float(comparison[len(sign) :])
    comparisons = {
        ">=": value >= bound,
        "<=": value <= bound,
        "==": value == bound,
        "!=": value != bound,
        ">": value > bound,
        "<": value < bound,
    }
    return comparisons[sign]


class Rules:
    """The types of events, and the kinds of ids.

    Args:
        description: the whole description, as its file has it.

    Attributes:
        types: the types.
        half_life_s: seconds after which an event weighs half among the terms that a user prefers.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self._user_ids, self._item_ids = (description[part]["ids"] for part in ("users", "items"))
        self.half_life_s: int = description.get("term_half_life_days", HALF_LIFE_DAYS) * 86_400
        self.types: list[Type] = []
        first = 1
        for name, fields in description["feedback"].items():
            self.types.append(Type(name, len(self.types), first, fields))
            first += len(self.types[-1].meanings)

    def type_of(self, code: int) -> Type:
        """The type of a code."""
        return next(each for each in reversed(self.types) if each.first <= code)

    def positive(self, code: int) -> bool:
        """Return True for the code of a positive event."""
        of_code = self.type_of(code)
        return of_code.meanings[code - of_code.first][1] == "positive"

    def event(self, key: bytes | None, value: bytes | None) -> Past | None:
        """The event of a record; None where it has none that is valid."""
        fields = object_of(value)
        if fields is None or fields.get("schema_version", 1) != 1:
            return None
        userid, itemid, ts = (fields.get(name) for name in ("userid", "itemid", "ts"))
        if not is_id(userid, self._user_ids) or not is_id(itemid, self._item_ids) or key != str(userid).encode():
            return None
        if type(ts) is not int or not 0 <= ts <= LARGEST_TS:
            return None
        code = self._code(fields)
        return None if code is None else Past(userid, itemid, code, ts)  # type: ignore[arg-type]

    def _code(self, fields: dict[str, Any]) -> int | None:
        """The code of what the fields say; None where that is nothing."""
        valued = [each for each in self.types if each.bounds is not None]
        if "event" in fields:
            named = [each for each in self.types if each.name == fields["event"]]
        else:
            named = [each for each in valued if each.name in fields]
        if len(named) != 1:
            return None
        found = named[0]
        short = fields.get(found.name) if found in valued else None
        value = fields.get("value", short) if "event" in fields else short
        # Of a type with whole values, 5.0 is none.
        if found.bounds is not None and found.bounds.get("whole", False) and type(value) is not int:
            return None
        return found.code(value)

    def erased(self, key: bytes | None, value: bytes | None) -> Id | None:
        """The user whom a record erases; None where it erases none."""
        fields = object_of(value)
        if fields is None or fields.get("schema_version") != 2 or fields.get("erase") is not True:
            return None
        userid = fields.get("userid")
        if type(fields["schema_version"]) is not int or not is_id(userid, self._user_ids):
            return None
        return userid if key == str(userid).encode() else None


@lru_cache(maxsize=1)
def object_of(value: bytes | None) -> dict[str, Any] | None:
    """The JSON object of a record; None where it has none. It is not to be changed."""
    try:
        fields = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def is_id(value: object, kind: str) -> bool:
    """Return True for an id of a kind."""
    if kind == "integer":
        return type(value) is int and 1 <= value <= LARGEST_ID
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ID:
        return False
    return not any(ord(letter) < 32 or ord(letter) == 127 or 0xD800 <= ord(letter) < 0xE000 for letter in value)
