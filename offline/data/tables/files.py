"""The columns of a file of a data set, as they stand in it."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.dataset import File
from offline.data.tables import arrow
from offline.errors import DataError

Ints = npt.NDArray[np.int64]

STAND_INS = (b"\x1f", b"\x1e", b"\x1d", b"\x1c", b"\x01", b"\x02")
"""Characters that take the place of a separator of several characters; the first that the file lacks."""

SHOWN = 40
"""Most characters of a value in an error message."""


@dataclass(frozen=True)
class RawTable:
    """Columns of a file.

    Attributes:
        path: of the file, as the description has it.
        rows: how many.
        columns: by name; texts, or what the file has them as. Missing values are null.
        line: of the first row; 0 in a file without lines.
        breaks: columns that hold line breaks, on which the line of a row depends.
        origin: the whole table and the rows of it that these are, where they are not all.
    """

    path: str
    rows: int
    columns: Mapping[str, Any]
    line: int
    breaks: tuple[str, ...] = ()
    origin: tuple[RawTable, Ints] | None = None

    def filtered(self, keep: npt.NDArray[np.bool_]) -> RawTable:
        """The rows that are True in `keep`."""
        mask = arrow.flags(keep)
        columns = {name: values.filter(mask) for name, values in self.columns.items()}
        return RawTable(self.path, int(keep.sum()), columns, self.line, origin=(self, np.flatnonzero(keep)))

    def with_column(self, name: str, values: Any) -> RawTable:
        """The same with another column."""
        return replace(self, columns={**self.columns, name: values})

    def place(self, row: int) -> str:
        """The place of a row in words, as in `movies.csv, line 7`."""
        return f"{self.path}, {self.position(row)}"

    def position(self, row: int) -> str:
        """The place of a row within the file, as in `line 7`."""
        if self.origin is not None:
            whole, rows = self.origin
            return whole.position(int(rows[row]))
        if not self.line:
            return f"row {row + 1}"
        before = [pc.sum(pc.count_substring(self.columns[name].slice(0, row), "\n")).as_py() for name in self.breaks]
        return f"line {self.line + row + sum(count or 0 for count in before)}"

    def error(self, row: int, column: str, rule: str) -> DataError:
        """An error about a value."""
        value = self.columns[column][row].as_py()
        text = "nothing" if value is None else repr(value)
        if len(text) > SHOWN:
            text = f"{text[:SHOWN]}..."
        return DataError(f"{self.place(row)}: {column} must be {rule}, not {text}")


def read_columns(folder: Path, file: File, wanted: Collection[str]) -> RawTable:
    """Read columns of a file.

    Args:
        folder: the data folder.
        file: the description of the file.
        wanted: names of the columns.

    Raises:
        DataError: the file is missing, is not of its format, or lacks a column.
    """
    path = folder / file.path
    readers = {"csv": _read_csv, "parquet": _read_parquet, "jsonl": _read_json_lines}
    try:
        return readers[file.format](path, file, sorted({*wanted}))
    except FileNotFoundError:
        raise DataError(
            f"{folder} has no {file.path}; correct the data folder, or the path in the description"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or type(error).__name__})") from None


def _require(path: str, wanted: Collection[str], present: Collection[str]) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(present)}")


def _read_csv(path: Path, file: File, wanted: list[str]) -> RawTable:
    content = _in_utf8(path.read_bytes(), file).rstrip(b"\r\n") + b"\n"
    if not content.strip():
        raise DataError(_empty(file))
    separator = file.separator.encode()
    if len(separator) > 1:
        stand_in = next((byte for byte in STAND_INS if byte not in content), None)
        if stand_in is None:
            raise DataError(f"{file.path} holds too many control characters to be cut at {file.separator!r}")
        content, separator = content.replace(separator, stand_in), stand_in
    names = _header(content, file, separator.decode()) if file.header else list(file.columns)
    _require(file.path, wanted, names)
    table = _parse_csv(content, file, names, wanted, separator.decode())
    if not table.num_rows:
        raise DataError(_empty(file))
    first = 2 if file.header else 1
    breaks: list[str] = []
    if file.quote and content.count(b"\n") != table.num_rows + first - 1:
        # Values hold line breaks, those of columns that are not read perhaps too.
        table, breaks = _parse_csv(content, file, names, names, separator.decode()), names
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return RawTable(file.path, table.num_rows, columns, first, tuple(breaks))


def _empty(file: File) -> str:
    return f"{file.path} is empty; it needs at least one line of values"


def _parse_csv(content: bytes, file: File, names: list[str], wanted: list[str], separator: str) -> Any:
    bad: list[Any] = []

    def refuse(row: Any) -> str:
        bad.append(row)
        return "error"

    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # Only a single thread knows the number of a line.
            pyarrow.csv.ReadOptions(
                use_threads=False, block_size=1 << 24, column_names=names, skip_rows=1 if file.header else 0
            ),
            pyarrow.csv.ParseOptions(
                delimiter=separator,
                quote_char='"' if file.quote else False,
                newlines_in_values=file.quote,
                ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=list(file.missing),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        raise DataError(_not_csv(file, bad, len(names))) from None


def _not_csv(file: File, bad: list[Any], columns: int) -> str:
    if not bad:
        return f"{file.path} is not a CSV file with {columns} columns; correct it, or separator and columns"
    row = bad[0]
    return (
        f"{file.path}, line {row.number}: has {row.actual_columns} instead of {row.expected_columns} values; correct "
        "the line, or separator and columns in the description"
    )


def _in_utf8(content: bytes, file: File) -> bytes:
    """The content in UTF-8, without a byte order mark."""
    try:
        text = content if content.isascii() else content.decode(file.encoding).encode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file.path}, line {line}: is not in {file.encoding}; set `encoding` of the file") from None
    return text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}".encode())


def _header(content: bytes, file: File, separator: str) -> list[str]:
    line = content.split(b"\n", 1)[0].decode().rstrip("\r")
    names = next(csv.reader([line], delimiter=separator), []) if file.quote else line.split(separator)
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise DataError(f"{file.path}, line 1: names the column {twice[0]!r} twice; rename one")
    return names


def _read_parquet(path: Path, file: File, wanted: list[str]) -> RawTable:
    try:
        with pq.ParquetFile(path) as parquet:
            _require(file.path, wanted, parquet.schema_arrow.names)
            table = parquet.read(wanted)
    except pa.ArrowInvalid:
        raise DataError(f"{file.path} is not a Parquet file, or is damaged") from None
    return RawTable(file.path, table.num_rows, {name: _plain(table.column(name)) for name in wanted}, 0)


def _plain(column: Any) -> Any:
    """A column without dictionaries, and with null in place of NaN, as pandas writes it."""
    values = column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type):
        values = values.cast(pa.string())
    if pa.types.is_floating(values.type):
        values = arrow.where(~arrow.true(pc.is_nan(values)), values)
    return values


def _read_json_lines(path: Path, file: File, wanted: list[str]) -> RawTable:
    rows: dict[str, list[Any]] = {name: [] for name in wanted}
    seen: set[str] = set()
    number = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = None
            if not isinstance(fields, dict):
                raise DataError(f"{file.path}, line {number}: is not a JSON object")
            seen |= fields.keys()
            for name, values in rows.items():
                values.append(fields.get(name))
    if not number:
        raise DataError(f"{file.path} is empty; it needs at least one JSON object")
    _require(file.path, wanted, sorted(seen))
    return RawTable(file.path, number, {name: _from_json(values) for name, values in rows.items()}, 1)


def _from_json(values: list[Any]) -> Any:
    """A column of JSON values; as texts where they are of several types, which Arrow cannot hold."""
    try:
        return _plain(pa.chunked_array([pa.array(values)]))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return arrow.strings(texts)
