"""Attributes of items and users, from the columns of their file.

* A text that the attribute's pattern does not match as a whole is missing; else its group is the value.
* Values that are not declared are learned: the commonest ones, and of those that are as common the first by name.
* A bound belongs to the bucket above it. Bounds are declared, multiples of the step, or quantiles, between two numbers
  in proportion; a quantile that is the least number bounds nothing.
* Whole numbers are kept as such where the attribute is whole.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from verify.oracle.files import Fields, as_texts, rows

MISSING = -1
"""The code of a missing value."""

MOST_LEARNED = 1000


@dataclass
class Column:
    """An attribute of all items, or of all users, in the order of their file.

    Attributes:
        name: of the attribute.
        fields: its table in the description.
        names: its values, or its buckets.
        values: of each row: a code, a list of codes, a number or a text; None, or MISSING for a code, where missing.
        codes: of each row the codes of its values or of its bucket; none where missing.
        center: the number that stands for a missing one in feature rows.
        bounds: of the buckets of a number.
    """

    name: str
    fields: Fields
    names: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    codes: list[list[int]] = field(default_factory=list)
    center: float = 0.0
    bounds: Sequence[float] = ()

    @property
    def kind(self) -> str:
        """The kind of the attribute."""
        return str(self.fields["kind"])

    @property
    def missing(self) -> Any:
        """The value of a row that has none."""
        return {"category": MISSING, "categories": []}.get(self.kind)

    @property
    def in_row(self) -> bool:
        """True if feature rows have it: numbers and values, unless they follow from another attribute."""
        return self.kind in {"category", "categories", "number"} and not self.fields.get("of")

    def source(self) -> list[Any]:
        """The column, for attributes that are derived from it."""
        if self.kind == "category":
            return [None if code == MISSING else self.names[code] for code in self.values]
        # A column of numbers is one of numbers with a point.
        return [float(value) if isinstance(value, int) else value for value in self.values]


def read(folder: Path, description: Fields, part: str) -> tuple[list[Any], list[Column]]:
    """The ids and the attributes of the items or the users that their file names, both in its order.

    Args:
        folder: the data folder.
        description: the whole description.
        part: `items` or `users`.
    """
    table = description[part]
    declared: dict[str, Fields] = table.get("attributes", {})
    if not table.get("file"):
        return [], []
    wanted = [name for fields in declared.values() for name in _columns(fields)]
    lines = list(rows(folder, description["files"][table["file"]], [table["id"], *wanted]))
    ids, *columns = ([line[place] for line in lines] for place in range(1 + len(wanted)))
    raw = dict(zip(wanted, columns, strict=True))
    found: dict[str, Column] = {}

    def column(name: str) -> Column:
        if name not in found:
            fields = declared[name]
            of = fields.get("of")
            sources = [column(of).source()] if of else [raw[each] for each in _columns(fields)]
            found[name] = _column(name, fields, sources)
        return found[name]

    return ids, [column(name) for name in declared]


def _columns(fields: Fields) -> list[str]:
    column = fields.get("column")
    return list(fields.get("flags") or ([column] if column else []))


def _column(name: str, fields: Fields, sources: Sequence[list[Any]]) -> Column:
    """An attribute from the column, or the flags, that it is read from."""
    read_column = {
        "category": _category,
        "categories": _categories,
        "number": _number,
        "text": _text,
        "title": _text,
    }[fields["kind"]]
    made = Column(name, fields)
    read_column(made, [matched(fields, source) for source in sources])
    return made


def matched(fields: Fields, source: list[Any]) -> list[Any]:
    """The column, or what the pattern takes from it."""
    if not fields.get("pattern"):
        return source
    matches = [text and re.fullmatch(fields["pattern"], text) for text in as_texts(source)]
    return [match.group(1) if match else None for match in matches]


def _text(made: Column, sources: Sequence[list[Any]]) -> None:
    made.values = as_texts(sources[0])
    made.codes = [[] for _ in made.values]


def _category(made: Column, sources: Sequence[list[Any]]) -> None:
    texts = [made.fields.get("default") or None if text is None else text for text in as_texts(sources[0])]
    made.names = _names(made.fields, [text for text in texts if text is not None])
    made.values = [made.names.index(text) if text in made.names else MISSING for text in texts]
    made.codes = [[] if code == MISSING else [code] for code in made.values]


def _categories(made: Column, sources: Sequence[list[Any]]) -> None:
    fields = made.fields
    if flags := fields.get("flags"):
        lists = [
            [name for name, flag in zip(flags, row, strict=True) if flag is not None and float(flag) == 1]
            for row in zip(*sources, strict=True)
        ]
    else:
        lists = list(split(sources[0], fields.get("separator", "")))
    made.names = (
        _names(fields, [text for texts in lists for text in texts])
        if not flags
        else list(fields.get("values") or flags)
    )
    made.codes = [sorted({made.names.index(text) for text in texts if text in made.names}) for texts in lists]
    made.values = list(made.codes)


def split(column: list[Any], separator: str) -> Iterator[list[str]]:
    """The values of each row."""
    if any(isinstance(value, list) for value in column):
        flat = iter(as_texts([each for values in column for each in values or ()]))
        for values in column:
            texts = [next(flat) for _ in values or ()]
            yield [text.strip() for text in texts if text is not None and text.strip()]
        return
    for text in as_texts(column):
        if text is None:
            yield []
        elif separator:
            yield [part.strip() for part in text.split(separator) if part.strip()]
        else:
            yield [text]


def _names(fields: Fields, texts: list[str]) -> list[str]:
    """The values of an attribute: those that are declared, or the commonest."""
    if declared := fields.get("values"):
        return list(declared)
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return sorted(counts, key=lambda text: (-counts[text], text))[: fields.get("most") or MOST_LEARNED]


def _number(made: Column, sources: Sequence[list[Any]]) -> None:
    fields = made.fields
    numbers = [fields.get("default") if value is None else float(value) for value in sources[0]]
    present = sorted(number for number in numbers if number is not None)
    bounds, made.names = _buckets(fields, present)
    take_numbers(made, numbers, bounds, median(present) if present else 0.0)


def take_numbers(made: Column, numbers: Sequence[float | None], bounds: Sequence[float], center: float) -> None:
    """Take the numbers of a column.

    Args:
        made: the column, with the names of its buckets.
        numbers: of each row; None where missing.
        bounds: of the buckets.
        center: the number that stands for a missing one, unless the description says.
    """
    kept: Callable[[float], float] = round if made.fields.get("whole", False) else float
    said = made.fields.get("center")
    made.center = kept(center if said is None else said)
    made.values = [None if number is None else kept(number) for number in numbers]
    made.bounds = bounds
    made.codes = [bucket(made, number) for number in numbers]


def bucket(column: Column, number: float | None) -> list[int]:
    """The code of a number's bucket; none where the number is missing, or has no buckets."""
    return [] if number is None or not column.names else [bisect_right(column.bounds, number)]


def _buckets(fields: Fields, present: list[float]) -> tuple[list[float], list[str]]:
    """The bounds of buckets, and their names; none of either for a number without buckets."""
    bounds = [float(bound) for bound in fields.get("buckets") or ()]
    quantiles, step = fields.get("quantiles"), fields.get("step")
    if not bounds and quantiles is None and step is None:
        return [], []
    if quantiles is not None and present:
        cuts = {_quantile(present, number / quantiles) for number in range(1, quantiles)}
        bounds = sorted(cut for cut in cuts if cut > present[0])
    if step is not None and present:
        multiples = range(math.floor(present[0] / step), math.floor(present[-1] / step) + 1)
        return [multiple * step for multiple in multiples[1:]], [f"{multiple * step:g}" for multiple in multiples]
    return bounds, list(fields.get("values") or _bucket_names(bounds))


def _quantile(ordered: list[float], share: float) -> float:
    """The number below which a share of the numbers lies.

    >>> _quantile([1.0, 2.0, 4.0], 0.75)
    3.0
    """
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    part = at - below
    # From the closer of both, as the last bit decides in which bucket a number at the bound is.
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def _bucket_names(bounds: list[float]) -> list[str]:
    if not bounds:
        return ["any"]
    texts = [f"{bound:g}" for bound in bounds]
    return [f"below {texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts)), f"{texts[-1]} or more"]
