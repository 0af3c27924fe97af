"""The rows of the files of a data set, read without the code that the rest of reelstream reads them with."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pyarrow import parquet

Fields = dict[str, Any]
"""A table of the description, as its file has it."""


def rows(folder: Path, file: Fields, columns: Sequence[str], texts: Collection[str] = ()) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, row by row; None where one is missing.

    Args:
        folder: the data folder.
        file: the table of the description about the file.
        columns: names.
        texts: those of them that are wanted as texts; all columns of a CSV file are.
    """
    path = folder / file["path"]
    if file["format"] == "csv":
        return _csv(path, file, columns)
    if file["format"] == "parquet":
        table = parquet.read_table(path, columns=sorted({*columns}))
        lists = {name: [_plain(value) for value in table.column(name).to_pylist()] for name in table.column_names}
    else:
        with path.open("rb") as lines:
            objects = [json.loads(line) for line in lines]
        lists = {name: _of_one_type([fields.get(name) for fields in objects]) for name in columns}
    lists |= {name: as_texts(lists[name]) for name in texts}
    return zip(*(lists[name] for name in columns), strict=True)


def _csv(path: Path, file: Fields, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    missing = set(file.get("missing", [""]))
    with path.open(encoding=file.get("encoding", "utf-8"), newline="") as opened:
        lines: Iterator[list[str]]
        separator = file.get("separator", ",")
        if file.get("quote", True):
            lines = csv.reader(opened, delimiter=separator)
        else:
            lines = (line.rstrip("\r\n").split(separator) for line in _lines(opened.read()))
        names = next(lines) if file.get("header", True) else file["columns"]
        places = [list(names).index(name) for name in columns]
        for values in lines:
            # The last lines of a file may be empty.
            if values and values != [""]:
                yield tuple(None if values[place] in missing else values[place] for place in places)


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _plain(value: Any) -> Any:
    """A value of a Parquet file; a number that is none is missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _of_one_type(values: list[Any]) -> list[Any]:
    """A column of JSON values; texts where some are of another type."""
    kinds = {float if type(value) is int else type(value) for value in values}
    if len(kinds - {type(None)}) <= 1:
        return values
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]


def as_texts(values: Sequence[Any]) -> list[str | None]:
    """A column as texts; numbers as whole ones where all of them are, as pandas writes whole numbers with a point."""
    floats = [value for value in values if isinstance(value, float)]
    whole = all(value == math.floor(value) for value in floats if math.isfinite(value))
    return [None if value is None else _text(value, whole) for value in values]


def _text(value: Any, whole: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if whole else _shortest(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f") + ("Z" if value.tzinfo else "")
    return value.isoformat() if isinstance(value, date) else str(value)


def _shortest(value: float) -> str:
    """The shortest text of a number, without a point after a whole one.

    >>> _shortest(2.0), _shortest(2.5)
    ('2', '2.5')
    """
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
