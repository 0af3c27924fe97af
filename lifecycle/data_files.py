"""The rows of users in the files of a data set: found, and left out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.dataset import DataSet, File

Row = tuple[bytes, tuple[str, ...]]
"""A row as it stands in a file, and its users; a header has none."""


@dataclass(frozen=True)
class UserFile:
    """A file of a data set with the rows of users.

    Attributes:
        path: where it is.
        file: its description.
        columns: those with ids of users.
    """

    path: Path
    file: File
    columns: tuple[str, ...]

    def count(self, userid: str) -> int:
        """The rows of a user."""
        if self.file.format == "parquet":
            table = pq.read_table(self.path)
            return int(pc.sum(pc.cast(_of_users(table, self._there(table), {userid}), pa.int64())).as_py() or 0)
        return sum(userid in users for _, users in self._rows(self.path.read_bytes()))

    def without(self, is_gone: Callable[[str], bool]) -> bytes | None:
        """The content of the file without the rows of some users; None where it has none of them."""
        if self.file.format == "parquet":
            return self._parquet_without(is_gone)
        rows = list(self._rows(self.path.read_bytes()))
        kept = [row for row, users in rows if not any(map(is_gone, users))]
        return None if len(kept) == len(rows) else b"".join(kept)

    def _rows(self, content: bytes) -> Iterator[Row]:
        """The rows of a file of text."""
        if self.file.format == "jsonl":
            return self._json_rows(content)
        return self._quoted_rows(content) if self.file.quote else self._plain_rows(content)

    def _json_rows(self, content: bytes) -> Iterator[Row]:
        for line in content.splitlines(keepends=True):
            fields = json.loads(line) if line.strip() else {}
            yield line, tuple(str(fields[name]) for name in self.columns if fields.get(name) is not None)

    def _plain_rows(self, content: bytes) -> Iterator[Row]:
        lines, names = iter(content.splitlines(keepends=True)), self.file.columns
        if self.file.header and (header := next(lines, None)) is not None:
            names = tuple(self._cells(header))
            yield header, ()
        for line in lines:
            yield line, self._users(names, self._cells(line))

    def _cells(self, line: bytes) -> list[str]:
        return line.decode(self.file.encoding).rstrip("\r\n").split(self.file.separator)

    def _quoted_rows(self, content: bytes) -> Iterator[Row]:
        """The rows of a file whose values may hold line breaks; they are written again, with quotes where needed."""
        separator, names = self.file.separator, self.file.columns
        cells = csv.reader(io.StringIO(content.decode(self.file.encoding), newline=""), delimiter=separator)
        for number, row in enumerate(cells):
            written = io.StringIO(newline="")
            csv.writer(written, delimiter=separator, lineterminator="\n").writerow(row)
            is_header = self.file.header and number == 0
            names = tuple(row) if is_header else names
            yield written.getvalue().encode(self.file.encoding), () if is_header else self._users(names, row)

    def _users(self, names: Iterable[str], cells: Iterable[str]) -> tuple[str, ...]:
        return tuple(cell for name, cell in zip(names, cells, strict=False) if name in self.columns)

    def _parquet_without(self, is_gone: Callable[[str], bool]) -> bytes | None:
        table = pq.read_table(self.path)
        columns = self._there(table)
        users = {str(value) for name in columns for value in pc.unique(table.column(name)).to_pylist()}
        gone = {userid for userid in users if is_gone(userid)}
        if not gone:
            return None
        written = io.BytesIO()
        pq.write_table(table.filter(pc.invert(_of_users(table, columns, gone))), written)
        return written.getvalue()

    def _there(self, table: Any) -> list[str]:
        return [name for name in self.columns if name in table.column_names]


def _of_users(table: Any, columns: Iterable[str], userids: Iterable[str]) -> Any:
    """True for the rows of users."""
    wanted, rows = pa.array(sorted(userids), pa.string()), pa.array([False] * table.num_rows)
    for name in columns:
        rows = pc.or_(rows, pc.is_in(pc.cast(table.column(name), pa.string()), wanted))
    return rows


def user_files(dataset: DataSet, folder: Path) -> list[UserFile]:
    """The files of a data set with rows of users that are in a folder; that with the users themselves is the last."""
    columns: dict[str, list[str]] = {}
    for source in dataset.events:
        columns.setdefault(source.file, []).append(source.user)
    if dataset.users.file:
        columns.setdefault(dataset.users.file, []).append(dataset.users.id)
    files = [
        UserFile(folder / dataset.files[name].path, dataset.files[name], tuple(dict.fromkeys(of_file)))
        for name, of_file in columns.items()
    ]
    return sorted((file for file in files if file.path.is_file()), key=lambda file: _is_of_users(dataset, file))


def _is_of_users(dataset: DataSet, file: UserFile) -> bool:
    return bool(dataset.users.file) and file.file == dataset.files[dataset.users.file]
