"""The tables of a folder: which of its files hold one, and how each is to be read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.dataset import File
from offline.data import draft_words as words
from offline.data.draft_columns import Column
from offline.data.tables import arrow
from offline.data.tables.files import RawTable, read_columns
from offline.errors import DataError

HEAD = 1 << 18
"""Bytes of a file that are looked at to find its format."""

LINES = 500
SEPARATORS = ("\t", ";", "|", "::", ",")
"""Separators of CSV files, in the order in which they are tried: commas also stand within values."""

MISSING = ("NA", "N/A", "n/a", "<NA>", "NULL", "null", "None", "nan", "NaN", "\\N")
"""Texts that stand for a missing value, where a file has them."""

MISSING_NUMBERS = ("-", "?", "--")
"""Further ones, in a column that otherwise holds numbers."""


class NoTable(Exception):
    """A file that holds no table; the message says why, as words that follow its name."""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of the file, in the description.
        file: how it is read.
        columns: by name.
        notes: what was assumed of it.
    """

    name: str
    file: File
    columns: dict[str, Column]
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The number of its rows."""
        return next(iter(self.columns.values())).rows

    @property
    def keys(self) -> list[Column]:
        """Columns in which nearly each row has an id of its own; whoever reads them refuses those that have not."""
        return [column for column in self.columns.values() if column.id_like and column.nearly_unique]


def find_tables(folder: Path) -> tuple[list[Table], dict[str, str]]:
    """(the tables of a folder, why other files are none, by path).

    Raises:
        DataError: there is no such folder, or no table in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the one with the files of the data set")
    tables: list[Table] = []
    others: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            try:
                tables.append(_table(folder, inside.as_posix(), tuple(table.name for table in tables)))
            except NoTable as reason:
                others[inside.as_posix()] = str(reason)
    if not tables:
        reasons = "; ".join(f"{path} {reason}" for path, reason in list(others.items())[:3])
        raise DataError(f"{folder} holds no CSV, Parquet or JSON lines file with a table{reasons and f': {reasons}'}")
    return tables, others


def _table(folder: Path, path: str, taken: tuple[str, ...]) -> Table:
    """Read a file.

    Raises:
        NoTable: it is none.
    """
    content = (folder / path).read_bytes()
    notes: list[str] = []
    if content[:4] == b"PAR1":
        file = File(path=path, format="parquet")
        try:
            columns: Sequence[str] = pq.ParquetFile(folder / path).schema_arrow.names
        except (OSError, ValueError):
            raise NoTable("is a damaged Parquet file") from None
    elif content.lstrip()[:1] == b"{":
        file, columns = File(path=path, format="jsonl"), _json_columns(content)
    else:
        file, columns = _csv(path, content, notes)
    file, raw = _read(folder, file, columns)
    if not raw.rows or len(columns) < 2:
        raise NoTable("has no rows" if not raw.rows else "has a single column")
    if file.format == "csv":
        file, raw = _without_missing(file, raw, notes)
    name = words.slug(Path(path).stem if Path(path).stem not in taken else path, taken, "file")
    return Table(name, file, {column: Column(raw, column) for column in columns}, notes)


def _read(folder: Path, file: File, columns: Sequence[str]) -> tuple[File, RawTable]:
    """The file's columns, and how they were read: without quotes where these belong to the values."""
    try:
        return file, read_columns(folder, file, columns)
    except DataError as error:
        if file.format == "csv" and file.quote:
            return _read(folder, File.model_validate({**file.model_dump(exclude_unset=True), "quote": False}), columns)
        raise NoTable(f"cannot be read ({error})") from None


def _json_columns(content: bytes) -> list[str]:
    columns: dict[str, None] = {}
    for line in content.splitlines():
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise NoTable("holds no JSON object on each line")
        columns.update(dict.fromkeys(fields))
    return list(columns)


def _csv(path: str, content: bytes, notes: list[str]) -> tuple[File, list[str]]:
    """The way in which a CSV file is read, and its columns."""
    if not content.strip():
        raise NoTable("is empty")
    if b"\0" in content[:HEAD]:
        raise NoTable("holds no text")
    encoding = "utf-8"
    try:
        content.decode()
    except UnicodeDecodeError:
        encoding = "latin-1"
        notes.append("not in UTF-8, so it is taken to be in Latin-1")
    text = content[:HEAD].decode(encoding, "ignore").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    if len(content) > HEAD:
        text = text[: text.rindex("\n") + 1] if "\n" in text else text
    quoted = '"' in text
    found = _separator(text, quoted) or (quoted and _separator(text, False)) or None
    if found is None:
        raise NoTable("has lines with different numbers of values, or a single value on each line")
    separator, rows, quote = found
    given: dict[str, object] = {"path": path, "format": "csv"}
    if encoding != "utf-8":
        given["encoding"] = encoding
    if separator != ",":
        given["separator"] = separator
    if not quote:
        given["quote"] = False
    columns = rows[0]
    if not _is_header(rows):
        columns = [f"column{number}" for number in range(1, len(rows[0]) + 1)]
        given |= {"header": False, "columns": columns}
        notes.append("its first line names no columns, so that they are numbered")
    return File.model_validate(given), columns


def _separator(text: str, quoted: bool) -> tuple[str, list[list[str]], bool] | None:
    """(separator, the first rows, whether values may be quoted) if each row has as many values as the first."""
    text = text.replace("\r\n", "\n").rstrip("\n")
    lines = text.split("\n")[:LINES]
    for separator in SEPARATORS:
        if separator not in lines[0]:
            continue
        if len(separator) > 1 or not quoted:
            rows = [line.split(separator) for line in lines]
        else:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            rows = [row for row, _ in zip(reader, range(LINES), strict=False)]
        if len({len(row) for row in rows}) == 1:
            # Quotes are allowed unless they are known to be part of values.
            return separator, rows, len(separator) == 1 and (quoted or '"' not in text)
    return None


def _is_header(rows: list[list[str]]) -> bool:
    """True if the first row names the columns: names that are distinct, are no numbers, and do not occur below."""
    first, below = [name.strip() for name in rows[0]], rows[1:]
    if not below or "" in first or len({*first}) < len(first) or any(character in "".join(first) for character in "{["):
        return False
    if any(name[0].isdigit() or _is_number(name) for name in first):
        return False
    numeric = any(all(_is_number(row[place]) for row in below if row[place]) for place in range(len(first)))
    return numeric or all(name not in {row[place] for row in below} for place, name in enumerate(first))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_missing(file: File, raw: RawTable, notes: list[str]) -> tuple[File, RawTable]:
    """The table without the texts that stand for missing values."""
    missing: dict[str, None] = {}
    for name in raw.columns:
        distinct = Column(raw, name).distinct
        present = [text for text in MISSING if text in distinct]
        others = [text for text in distinct if text not in MISSING and not _is_number(text)]
        if others and {*others} <= {*MISSING_NUMBERS} and len(distinct) > len(others) + len(present):
            present += others
        missing |= dict.fromkeys(present)
    if not missing:
        return file, raw
    notes.append(f"{', '.join(map(repr, missing))} stand for a missing value")
    gone = arrow.strings(list(missing))
    columns = {name: arrow.where(~arrow.true(pc.is_in(values, gone)), values) for name, values in raw.columns.items()}
    given = {**file.model_dump(exclude_unset=True), "missing": ["", *missing]}
    return File.model_validate(given), RawTable(raw.path, raw.rows, columns, raw.line, raw.breaks)
