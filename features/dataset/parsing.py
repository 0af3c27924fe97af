"""A description from the text of its TOML file, with errors that name the line and the rule.

The TOML parser of the standard library does not say where a key stands, so the text is cut into statements (a header of
a table, or a key with its value), each of which is parsed by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from features.dataset.description import DataSet
from features.dataset.references import Location, broken_references

AT_LINE = re.compile(r"^(.*) \(at line (\d+), column \d+\)$", re.DOTALL)


class DescriptionError(ValueError):
    """A description that breaks a rule.

    Attributes:
        line: of the file, from 1; None where no line is at fault.
    """

    def __init__(self, line: int | None, rule: str) -> None:
        super().__init__(f"line {line}: {rule}" if line else rule)
        self.line = line


def parse(text: str) -> DataSet:
    """Read a description.

    Raises:
        DescriptionError: with one sentence that names the line and the rule.
    """
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = AT_LINE.match(str(error))
        line = int(match[2]) if match else text.count("\n") + 1
        raise DescriptionError(line, f"is not TOML: {match[1] if match else error}") from None
    try:
        dataset = DataSet.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        location = _present(first, fields)
        raise DescriptionError(_line(text, location), _sentence(first, location)) from None
    for location, reason in broken_references(dataset):
        raise DescriptionError(_line(text, location), f"{_named(location)} {reason}")
    return dataset


def _present(error: ErrorDetails, fields: object) -> Location:
    """The place of an error, without the names that pydantic adds for members of a union."""
    present: list[str | int] = []
    for key in error["loc"]:
        here = isinstance(fields, dict) and key in fields
        if here or (isinstance(fields, list) and isinstance(key, int) and key < len(fields)):
            fields = fields[key]  # type: ignore[index]
            present.append(key)
    if error["type"] == "missing":
        present.append(error["loc"][-1])
    elif error["type"] == "union_tag_invalid":
        present.append("kind")
    return tuple(present)


def _named(location: Location) -> str:
    """The place in the description, as in `events[0].user`; `the description` for the whole."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location)[1:] or "the description"


def _sentence(error: ErrorDetails, location: Location) -> str:
    context: dict[str, Any] = error.get("ctx") or {}
    usual = error["msg"].replace("Input should", "must").replace("Value should", "must")
    reasons = {
        "missing": "is missing",
        "extra_forbidden": "is not a key of a description",
        "union_tag_not_found": "needs `kind`",
        "union_tag_invalid": f"must be one of {context.get('expected_tags')}",
        "string_pattern_mismatch": "must be a name of lower-case letters, digits and _, beginning with a letter",
        "value_error": str(context.get("error")),
    }
    return f"{_named(location)} {reasons.get(error['type'], usual[:1].lower() + usual[1:])}"


def _line(text: str, location: Location) -> int | None:
    """The line of a place, or of the closest part around it."""
    lines = dict(_places(text))
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return None


def _places(text: str) -> Iterator[tuple[Location, int]]:
    """Places in the description, each with the line where it begins; the first statement about a place counts last."""
    found: list[tuple[Location, int]] = []
    table: Location = ()
    tables: dict[Location, int] = {}
    for line, statement, fields in _statements(text):
        if statement.startswith("[["):
            path = _spelt(fields)
            tables[path] = tables.get(path, -1) + 1
            table = (*path, tables[path])
            found.append((table, line))
        elif statement.startswith("["):
            table = _in_arrays(_spelt(fields), tables)
            found.append((table, line))
        else:
            for path in _prefixes(fields):
                found.append(((*table, *path), line))
    yield from reversed(found)


def _in_arrays(path: Location, tables: dict[Location, int]) -> Location:
    """The path of a table, with the number of the last table of an array that it is in."""
    whole: Location = ()
    for key in path:
        whole = (*whole, key)
        if whole in tables:
            whole = (*whole, tables[whole])
    return whole


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(line, text, parsed) of each statement, which ends with the line that makes it valid."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not pending:
            start = number
        pending += line + "\n"
        try:
            fields = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if fields:
            yield start, pending.strip(), fields
        pending = ""


def _spelt(fields: dict[str, Any]) -> Location:
    """The keys that lead to the innermost table of a header."""
    path: list[str] = []
    value: Any = fields
    while value and isinstance(value, dict):
        key = next(iter(value))
        path.append(key)
        value = value[key]
    return tuple(path)


def _prefixes(value: Any, path: Location = ()) -> Iterator[Location]:
    """All places in a value."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _prefixes(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _prefixes(inner, (*path, number))
