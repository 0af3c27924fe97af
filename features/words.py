"""Attributes as changes name them: names of values in place of codes, as `GET /items/<id>` shows them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from features.attributes import Attribute
from features.catalogue import UNKNOWN, ItemValue
from features.dataset.attributes import Attribute as Description
from features.dataset.attributes import Categories, Category, Number
from features.dataset.feedback import ValueRange
from features.errors import EventError

TITLE = "title"
"""The word for the title, whatever the description calls it."""

HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""Halves of characters, which UTF-8 cannot hold."""

MOST_WHOLE = 2**63 - 1
"""Greatest whole number of an attribute, and of its negative: a number of 64 bits, as the stores hold it."""

Word = str | int | float | list[str] | None
"""The value of an attribute: a category or a text, a number, a list of categories; None where it is missing."""

Given = dict[str, Word]
"""Attributes by name; one that is missing is None or absent."""


class Words:
    """The attributes of the items, or of the users, of a data set.

    A value that the schema does not know counts as missing. An attribute that follows from another may be given; where
    it is missing, it is derived.

    Args:
        described: the attributes of the description, by name.
        attributes: those that models and lists see.
    """

    def __init__(self, described: Mapping[str, Description], attributes: Sequence[Attribute]) -> None:
        self._attributes = tuple(attributes)
        self._titles = [name for name, description in described.items() if description.kind == "title"]
        self._described = {self._word(name): description for name, description in described.items()}

    def _word(self, name: str) -> str:
        """The word for an attribute."""
        return TITLE if name in self._titles else name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The words for all attributes."""
        return tuple(self._described)

    @cached_property
    def _by_name(self) -> dict[str, Attribute]:
        return {attribute.name: attribute for attribute in self._attributes}

    def check(self, words: object, field: str) -> Given:
        """Attributes, once each has a value of its kind.

        Args:
            words: the attributes.
            field: what an error calls them.

        Raises:
            EventError: naming the field and the rule.
        """
        if not isinstance(words, dict):
            raise EventError(f"{field} must be an object with attributes")
        for name, word in words.items():
            description = self._described.get(name)
            if description is None:
                known = ", ".join(self.names) or "none"
                raise EventError(f"{field} has an attribute that the data set does not have; it has {known}")
            if word is not None and not _valid(description, word):
                raise EventError(f"{field}.{name} must be {_rule(description)}")
        return words

    def title(self, given: Given) -> str:
        """The title; empty where there is none."""
        word = self._resolved(TITLE, given) if TITLE in self._described else None
        return word if isinstance(word, str) else ""

    def values(self, given: Given) -> list[ItemValue]:
        """The values of the attributes that models and lists see."""
        return [self._value(attribute, given) for attribute in self._attributes]

    def codes(self, given: Given) -> list[int]:
        """The codes of the same."""
        values = zip(self._attributes, self.values(given), strict=True)
        return [(*attribute.codes_of(value), UNKNOWN)[0] for attribute, value in values]

    def unknown(self, given: Mapping[str, object]) -> dict[str, list[str]]:
        """The values that the schema does not know, by attribute."""
        by_name = {}
        for name, word in given.items():
            attribute = self._by_name.get(name)
            if attribute is not None and attribute.categorical:
                named = word if isinstance(word, list) else [word]
                unknown = [value for value in named if isinstance(value, str) and value not in attribute.codes]
                if unknown:
                    by_name[name] = sorted({*unknown})
        return by_name

    def _value(self, attribute: Attribute, given: Given) -> ItemValue:
        word = self._resolved(attribute.name, given)
        if attribute.kind == "categories":
            named = word if isinstance(word, list) else [word]
            return tuple(sorted({attribute.codes[value] for value in named if value in attribute.codes}))
        if attribute.kind == "category":
            return attribute.codes.get(word, UNKNOWN) if isinstance(word, str) else UNKNOWN
        if attribute.kind == "number" and isinstance(word, int | float):
            fits = float(word).is_integer() and abs(word) <= MOST_WHOLE
            return int(word) if fits and self._whole(attribute.name) else float(word)
        return None if isinstance(word, list) else word

    def _whole(self, name: str) -> bool:
        """True for whole numbers, and for what is derived from them."""
        description = self._described[self._word(name)]
        while description.of and not (isinstance(description, Number) and description.whole):
            description = self._described[self._word(description.of)]
        return isinstance(description, Number) and description.whole

    def _resolved(self, name: str, given: Given) -> Word:
        """The value of an attribute, derived or its default where it is missing."""
        description = self._described[self._word(name)]
        word = given.get(self._word(name))
        if word is None and description.of:
            word = _derived(description, self._resolved(description.of, given))
        if word is None and isinstance(description, Category | Number):
            return description.default if isinstance(description, Number) else description.default or None
        return word


def _derived(description: Description, source: Word) -> Word:
    """The value of an attribute that follows from another one."""
    if source is None or isinstance(source, list):
        return None
    word: str | int | float = source
    if description.pattern or not isinstance(description, Number):
        word = _as_text(source)
        if description.pattern:
            match = re.fullmatch(description.pattern, word)
            if match is None or match[1] is None:
                return None
            word = match[1]
    if isinstance(description, Number):
        return _as_number(word, description)
    if isinstance(description, Categories):
        parts = str(word).split(description.separator) if description.separator else [str(word)]
        return [part.strip() for part in parts if part.strip()]
    return word


def _as_text(source: str | int | float) -> str:
    """A value as a text; a whole number without a point."""
    return str(int(source)) if isinstance(source, float) and source.is_integer() else str(source)


def _as_number(word: str | int | float, description: Number) -> int | float | None:
    """A number that the attribute can hold; None where the value is none."""
    try:
        number = float(word)
    except (ValueError, OverflowError):
        return None
    if description.whole and number.is_integer():
        number = int(number)
    return number if _holds(description, number) else None


def _bounds(description: Number) -> ValueRange:
    return ValueRange(minimum=description.minimum, maximum=description.maximum, whole=description.whole)


def _valid(description: Description, word: object) -> bool:
    """True for a value that an attribute can hold."""
    if isinstance(description, Number):
        return isinstance(word, int | float) and _holds(description, word)
    if isinstance(description, Categories):
        return isinstance(word, list) and all(_text(value) for value in word)
    return _text(word)


def _holds(description: Number, number: float) -> bool:
    """True for a number that an attribute can hold, and the stores too."""
    if type(number) is int and abs(number) > MOST_WHOLE:
        return False
    if type(number) not in ((int,) if description.whole else (int, float)):
        return False
    return math.isfinite(number) and _bounds(description).holds(number)


def _text(word: object) -> bool:
    return isinstance(word, str) and not HALF_CHARACTER.search(word)


def _rule(description: Description) -> str:
    """The rule for a value as words that follow "must be"."""
    if isinstance(description, Number):
        return f"{_bounds(description).rule()}, or null"
    return "a list of texts, or null" if isinstance(description, Categories) else "a text, or null"
