"""The events before the log, and the catalogue, from the files of the archive.

What the data set taught its schema, names of values and bounds of buckets, is in the archive too. Its first version was
of a data set of which all of that is declared.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import parquet

from verify.oracle.attributes import MISSING, Column, take_numbers
from verify.oracle.files import Fields
from verify.oracle.history import Entities, History, history_of
from verify.oracle.rules import Past, Rules

NOTHING: Fields = {"values": [], "bounds": [], "center": 0.0}


def of_archive(folder: Path, first: Path, online_events: int) -> History:
    """Read the history in an archive.

    Args:
        folder: with events.parquet, items.parquet, users.parquet and, but for the first version, schema.json.
        first: the description of the data set of all histories of the first version.
        online_events: how many of each user's last events are not before the log, unless the description says.
    """
    schema = folder / "schema.json"
    if schema.exists():
        stored = json.loads(schema.read_text(encoding="utf-8"))
        said, learned = stored["dataset"], stored["learned"]
    else:
        said, learned = tomllib.loads(first.read_text(encoding="utf-8")), {"items": {}, "users": {}}
    rules = Rules(said)
    items = _items(folder / "items.parquet", "itemid", said["items"], learned["items"])
    users = _users(folder / "users.parquet", said["users"], learned["users"])
    code = "code" if schema.exists() else "rating"
    events = (Past(*row) for row in _rows(folder / "events.parquet", "userid", "itemid", code, "ts"))
    return history_of(said, rules, items, users, events, online_events)


def _rows(path: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    table = parquet.read_table(path, columns=list(columns))
    return zip(*(table.column(column).to_pylist() for column in columns), strict=True)


def _columns(part: Fields, learned: Fields) -> Iterator[tuple[Column, Fields]]:
    """The attributes but for the title, as yet without rows, each with what was learned of it."""
    for name, fields in part.get("attributes", {}).items():
        if fields["kind"] == "title":
            continue
        taught = learned.get(name, NOTHING)
        names = fields.get("values") or fields.get("flags") or taught["values"]
        yield Column(name, fields, list(names)), taught


def _items(path: Path, key: str, part: Fields, learned: Fields) -> Entities:
    """The items, whose categories are stored by name."""
    stored = set(parquet.read_schema(path).names)
    columns = []
    for column, taught in _columns(part, learned):
        name = column.name if column.name in stored else column.fields["of"]
        values = [value for (value,) in _rows(path, name)]
        if column.kind == "number":
            bounds = column.fields.get("buckets") or taught["bounds"]
            take_numbers(column, values, bounds, taught["center"])
        elif column.kind == "category":
            column.values = [MISSING if value is None else column.names.index(value) for value in values]
            column.codes = [[] if code == MISSING else [code] for code in column.values]
        elif column.kind == "categories":
            column.values = column.codes = [sorted(map(column.names.index, value)) for value in values]
        else:
            column.values, column.codes = values, [[] for _ in values]
        columns.append(column)
    return Entities([itemid for (itemid,) in _rows(path, key)], columns)


def _users(path: Path, part: Fields, learned: Fields) -> Entities:
    """The users, whose attributes are stored by their codes."""
    stored = set(parquet.read_schema(path).names)
    columns = []
    for column, taught in _columns(part, learned):
        if column.name in stored:
            column.bounds = column.fields.get("buckets") or taught["bounds"]
            column.values = [code for (code,) in _rows(path, column.name)]
            column.codes = [[] if code == MISSING else [code] for code in column.values]
            columns.append(column)
    return Entities([userid for (userid,) in _rows(path, "userid")], columns)
