"""Ids of users and items: whole numbers or texts, and their numbers inside models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from features.dataset.part import MAX_ID, MAX_ID_LENGTH
from features.errors import EventError

Id = int | str
"""The id of a user or an item; those of one data set are all of one kind."""

UNKNOWN_NUMBER = 2**31 - 1
"""Number of an id that a run was not trained with. It lies outside every table of a model, and 0 is padding."""

FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of characters, which UTF-8 cannot hold."""


class IdKind(StrEnum):
    """The kind of the ids, as the description of the data set has it."""

    INTEGER = "integer"
    STRING = "string"

    @property
    def rule(self) -> str:
        """The rule as words that follow "must be"."""
        if self is IdKind.INTEGER:
            return f"a whole number from 1 to {MAX_ID}"
        return f"a text of 1 to {MAX_ID_LENGTH} characters without control characters"

    def valid(self, value: object) -> bool:
        """Return True if a value is an id of this kind.

        >>> IdKind.INTEGER.valid(7), IdKind.INTEGER.valid("7"), IdKind.STRING.valid("7")
        (True, False, True)
        """
        if self is IdKind.INTEGER:
            return type(value) is int and 1 <= value <= MAX_ID
        return isinstance(value, str) and 1 <= len(value) <= MAX_ID_LENGTH and not FORBIDDEN.search(value)

    def check(self, value: object, name: str) -> Id:
        """The value, which must be an id.

        Raises:
            EventError: naming it and the rule.
        """
        if not self.valid(value):
            raise EventError(f"{name} must be {self.rule}")
        assert isinstance(value, int | str)
        return value

    def parse(self, text: str, name: str) -> Id:
        """An id from a text: a key, a part of a path or a word of a command.

        >>> IdKind.INTEGER.parse("7", "userid"), IdKind.STRING.parse("7", "userid")
        (7, '7')

        Raises:
            EventError: if it is none; a number must be written as `id_text` writes it.
        """
        value: object = text
        if self is IdKind.INTEGER:
            value = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None
            if value is not None and str(value) != text:
                value = None
        return self.check(value, name)


def id_text(userid: Id) -> str:
    """An id as it stands in keys, paths and file names."""
    return str(userid)


def ascending(ids: Iterable[Id]) -> list[Id]:
    """Ids of one kind in ascending order: numbers by value, texts by their characters."""
    return sorted(ids)


class Numbering:
    """The numbers that models know ids by: the place in the ascending ids, from 1.

    Args:
        ids: ascending; None in the place of one that was erased, so that the others keep their numbers.

    >>> numbering = Numbering(["a", "c"])
    >>> numbering.number("c"), numbering.number("b") == UNKNOWN_NUMBER, numbering.size
    (2, True, 3)
    """

    def __init__(self, ids: Sequence[Id | None]) -> None:
        self.ids = tuple(ids)
        self._numbers = {known: place for place, known in enumerate(self.ids, 1) if known is not None}

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbering) and self.ids == other.ids

    def __hash__(self) -> int:
        return hash(self.ids)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._numbers

    @property
    def size(self) -> int:
        """Rows of a table of a model: one for each id, and the first for the unknown."""
        return len(self.ids) + 1

    def number(self, id_: Id) -> int:
        """The number of an id, UNKNOWN_NUMBER if it has none."""
        return self._numbers.get(id_, UNKNOWN_NUMBER)

    def numbers(self, ids: Iterable[Id]) -> npt.NDArray[np.int64]:
        """The numbers of some ids, INT64."""
        numbers = self._numbers
        return np.array([numbers.get(each, UNKNOWN_NUMBER) for each in ids], dtype=np.int64)

    def id(self, number: int) -> Id:
        """The id of a number from 1.

        Raises:
            KeyError: if it was erased.
        """
        found = self.ids[number - 1]
        if found is None:
            raise KeyError(number)
        return found

    def without(self, ids: Iterable[Id]) -> Numbering:
        """The numbering without some ids, which become unknown."""
        gone = {*ids}
        return Numbering([None if known in gone else known for known in self.ids])
