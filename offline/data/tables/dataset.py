"""A whole data set as typed columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.dataset import DataSet, Entities, EventSource
from offline.data.tables import arrow, values
from offline.data.tables.attributes import read_attributes, within
from offline.data.tables.columns import Column
from offline.data.tables.files import RawTable, read_columns
from offline.data.tables.values import Flags, Floats, Ints
from offline.errors import DataError


@dataclass(frozen=True)
class Events:
    """All events: the sources in the order of the description, each in the order of its file.

    Attributes:
        user, item: places in the ids of users and items, INT64 [events].
        time: microseconds since 1970, INT64 [events].
        type: places in the types, INT64 [events].
        value: FP64 [events], NaN where there is none.
    """

    user: Ints
    item: Ints
    time: Ints
    type: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class EntityTable:
    """Items or users: those of their file in its order, then those that only events name, as they come.

    Attributes:
        ids: Arrow array of INT64 or string, without nulls; an id's place here is its number in events.
        attributes: by name, each with as many rows.
    """

    ids: Any
    attributes: dict[str, Column]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def numbers(self) -> Ints:
        """Integer ids, INT64."""
        return arrow.whole(self.ids)


@dataclass(frozen=True)
class Tables:
    """A data set.

    Attributes:
        types: the types of events, in the order of the description's feedback.
        events, items, users: as above.
    """

    types: tuple[str, ...]
    events: Events
    items: EntityTable
    users: EntityTable


def read(dataset: DataSet, folder: Path) -> Tables:
    """Read a data set; nothing is written.

    Args:
        dataset: its description.
        folder: the data folder.

    Raises:
        DataError: with one sentence that names the file, the line, the value and the rule.
    """
    types = tuple(dataset.feedback)
    items = _Known(dataset, folder, dataset.items)
    users = _Known(dataset, folder, dataset.users)
    parts = [_events(dataset, source, folder, items, users) for source in dataset.events]
    columns = (np.concatenate([part[number] for part in parts]) for number in range(5))
    return Tables(types, Events(*columns), items.table(), users.table())


class _Known:
    """The items or the users, as their file and then the events name them.

    Args:
        dataset: the description.
        folder: the data folder.
        entities: the part of the description about them.
    """

    def __init__(self, dataset: DataSet, folder: Path, entities: Entities) -> None:
        self._entities, self._rows = entities, 0
        self._ids = pa.nulls(0, values.ID_TYPES[entities.ids])
        self._attributes: dict[str, Column] = {}
        if entities.file:
            file = dataset.files[entities.file]
            columns = [column for attribute in entities.attributes.values() for column in attribute.columns]
            table = read_columns(folder, file, [entities.id, *columns])
            self._ids, self._rows = values.ids(table, entities.id, entities.ids), table.rows
            require_distinct(table, entities.id, self._ids)
            self._attributes = read_attributes(table, entities.attributes)
            self._path = file.path

    def places(self, table: RawTable, column: str) -> Ints:
        """Places of the ids in a column of events; ids that are not known yet get the next places."""
        ids = values.ids(table, column, self._entities.ids)
        places = pc.index_in(ids, value_set=self._ids)
        if places.null_count:
            if self._entities.file and self._entities.complete:
                row = int(np.argmax(arrow.null(places)))
                raise DataError(
                    f"{table.place(row)}: {column} {ids[row].as_py()} is not in {self._path}; use files of one "
                    "release, or set `complete = false` in the description"
                )
            further = pc.unique(ids.filter(pc.is_null(places)))
            self._ids = pa.concat_arrays([self._ids, further])
            places = pc.index_in(ids, value_set=self._ids)
        return arrow.whole(places)

    def table(self) -> EntityTable:
        """All that are known."""
        further = len(self._ids) - self._rows
        return EntityTable(self._ids, {name: column.extended(further) for name, column in self._attributes.items()})


def require_distinct(table: RawTable, column: str, ids: Any) -> None:
    """Refuse the first id that an earlier row has; raises DataError."""
    first = arrow.whole(pc.index_in(ids, value_set=ids))
    if len(again := np.flatnonzero(first != np.arange(len(ids)))):
        row = int(again[0])
        raise DataError(
            f"{table.place(row)}: {column} {ids[row].as_py()} is on {table.position(int(first[row]))} already; keep one"
        )


def _events(
    dataset: DataSet, source: EventSource, folder: Path, items: _Known, users: _Known
) -> tuple[Ints, Ints, Ints, Ints, Floats]:
    """The columns of `Events`, of one source."""
    table = read_columns(folder, dataset.files[source.file], source.columns.values())
    types = list(dataset.feedback)
    if source.type:
        table, codes = _typed(table, source, types)
    else:
        codes = np.full(table.rows, types.index(source.event), dtype=np.int64)
    time = values.times(table, source.time, source.time_format)
    value = _values(dataset, table, source, codes)
    return users.places(table, source.user), items.places(table, source.item), time, codes, value


def _typed(table: RawTable, source: EventSource, types: list[str]) -> tuple[RawTable, Ints]:
    """The events that are not ignored, and their types."""
    names = values.texts(table, source.type)
    if source.ignore:
        keep = arrow.null(pc.index_in(names, value_set=arrow.strings(source.ignore)))
        table = table.filtered(keep)
        names = values.texts(table, source.type)
    known = {name: name for name in types} | source.names
    places = pc.index_in(names, value_set=arrow.strings(list(known)))
    if places.null_count:
        row = int(np.argmax(arrow.null(places)))
        raise table.error(row, source.type, f"one of {', '.join(known)}, or stand in `ignore`")
    codes = np.array([types.index(name) for name in known.values()], dtype=np.int64)
    return table, codes[arrow.whole(places)]


def _values(dataset: DataSet, table: RawTable, source: EventSource, codes: Ints) -> Floats:
    if not source.value:
        return np.full(table.rows, np.nan)
    needed = [(code, rule.value) for code, rule in enumerate(dataset.feedback.values()) if rule.value is not None]
    rules = {bounds.rule() for _, bounds in needed}
    found = values.numbers(table, source.value, rules.pop() if len(rules) == 1 else "a number")
    for code, bounds in needed:
        wrong: Flags = (codes == code) & ~within(bounds, found)
        if wrong.any():
            raise table.error(int(np.flatnonzero(wrong)[0]), source.value, bounds.rule())
    return found
