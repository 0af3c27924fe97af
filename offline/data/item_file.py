"""A file of items that come, or change, while the system serves: the columns of the description's file of items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features import EventError, ItemChange, Schema
from features.dataset import Attribute, File, Number
from features.dataset.attributes import Categorical as CategoricalAttribute
from features.words import TITLE, Given, Word
from offline.data.tables import Categorical, Column, MultiCategorical, Texts, values
from offline.data.tables.attributes import read_attributes
from offline.data.tables.dataset import require_distinct
from offline.data.tables.files import RawTable, read_columns
from offline.errors import DataError

FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".parquet": "parquet"}
"""Formats by the ending of a file's name; one of another ending is as the description's file."""


@dataclass(frozen=True)
class ItemFile:
    """The changes that a file of items stands for, in its order.

    Attributes:
        changes: one for each row.
        unknown: by attribute, the values that the schema does not know, and which count as missing.
    """

    changes: list[ItemChange]
    unknown: dict[str, list[str]]


def read_items(schema: Schema, path: Path, version: int) -> ItemFile:
    """Read a file of items, all of it or nothing.

    Args:
        schema: of the data set, whose description names the columns.
        path: the file; CSV, JSON lines or Parquet.
        version: of the changes.

    Raises:
        DataError: if the file cannot be read, or a row is not that of an item; with one sentence that names the line.
    """
    entities = schema.dataset.items
    if not entities.file:
        raise DataError(
            "the description of the data set names no file of items, so that nobody knows the columns of this one; "
            "use `reelstream items put`"
        )
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    read = {name: _open(attribute) for name, attribute in entities.attributes.items()}
    columns = [column for attribute in read.values() for column in attribute.columns]
    file = _file(schema.dataset.files[entities.file], path)
    table = read_columns(path.parent, file, list(dict.fromkeys([entities.id, *columns])))
    ids = values.ids(table, entities.id, entities.ids)
    require_distinct(table, entities.id, ids)
    words = _words(table.rows, read, read_attributes(table, read))
    unknown: dict[str, set[str]] = {}
    changes = []
    for row, (itemid, given) in enumerate(zip(ids.to_pylist(), words, strict=True)):
        changes.append(_change(schema, table, row, itemid, version, given))
        for name, names in schema.events.unknown_item_values({**given}).items():
            unknown.setdefault(name, set()).update(names)
    return ItemFile(changes, {name: sorted(names) for name, names in unknown.items()})


def _open(attribute: Attribute) -> Attribute:
    """An attribute of which every value is read, however many there are: the schema tells which it knows."""
    if isinstance(attribute, CategoricalAttribute):
        return attribute.model_copy(update={"most": np.iinfo(np.int64).max})
    return attribute


def _file(described: File, path: Path) -> File:
    """The file's format: that of the description where the endings are alike."""
    found = FORMATS.get(path.suffix.lower(), described.format)
    if found == described.format:
        return described.model_copy(update={"path": path.name})
    options = {"separator": "\t"} if path.suffix.lower() == ".tsv" else {}
    return File.model_validate({"path": path.name, "format": found, **options})


def _change(schema: Schema, table: RawTable, row: int, itemid: object, version: int, given: Given) -> ItemChange:
    try:
        return schema.events.item_change(itemid, version, given)
    except EventError as error:
        raise DataError(f"{table.place(row)}: {error}") from None


def _words(rows: int, attributes: dict[str, Attribute], columns: dict[str, Column]) -> Iterator[Given]:
    """The attributes of each row by name, but for those that follow from others, and for missing ones."""
    own = {name: attribute for name, attribute in attributes.items() if not attribute.of}
    names = [TITLE if attribute.kind == "title" else name for name, attribute in own.items()]
    lists = [_values(attribute, columns[name]) for name, attribute in own.items()]
    if not lists:
        yield from ({} for _ in range(rows))
    for row in zip(*lists, strict=True):
        yield {name: value for name, value in zip(names, row, strict=True) if value not in (None, [])}


def _values(attribute: Attribute, column: Column) -> Sequence[Word]:
    if isinstance(column, Categorical | MultiCategorical):
        named: Sequence[Word] = column.values()
        return named
    if isinstance(column, Texts):
        return column.texts
    whole = isinstance(attribute, Number) and attribute.whole
    numbers = column.numbers.tolist()
    return [None if math.isnan(number) else int(number) if whole else number for number in numbers]
