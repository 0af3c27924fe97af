"""A draft of the description of a data set, from a folder with its files.

draft_words, draft_columns   words by which columns are recognised, and what can be told of a column
draft_files                  the tables of the folder, and how each file is read
draft_roles                  which tables hold events, items and users
draft_feedback               the types of events
draft_attributes             the attributes of items and users
draft_text                   the TOML file

What was assumed stands in the draft as comments. A draft is given only if it can be read, and the data with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import Schema
from features.dataset import DescriptionError, parse
from offline.data.draft_attributes import item_attributes, user_attributes
from offline.data.draft_columns import Column
from offline.data.draft_feedback import Source, read_feedback
from offline.data.draft_files import Table, find_tables
from offline.data.draft_roles import Entity, Roles, find_roles
from offline.data.draft_text import Toml
from offline.data.tables import arrow, read, values
from offline.data.tables.values import MICROSECONDS, Ints
from offline.errors import DataError

HELD_OUT = 10
"""Last events of each user that are held out where a description says nothing, as the setting data.online_events."""

LEFT = 0.5
"""Share of the events that must be left then."""

EARLIER = 0.8
"""Share of the events before the point in time of a split."""


@dataclass(frozen=True)
class Draft:
    """A draft.

    Attributes:
        text: of the description.
        assumed: what was assumed, as it stands in the comments.
        events, items, users: how many there are.
        types: events by type.
    """

    text: str
    assumed: list[str]
    events: int
    items: int
    users: int
    types: dict[str, int]


def write(folder: Path, out: Path) -> Draft:
    """Draft a description and write it; nothing is written if there is an error.

    Args:
        folder: with the files of the data set.
        out: the new file; it ends in .toml.

    Raises:
        DataError: with one sentence that says what to do.
    """
    if out.suffix != ".toml":
        raise DataError(f"{out} must end in .toml, as all descriptions do")
    if out.exists():
        raise DataError(f"{out} exists already; give another file with --out, or delete it")
    if not out.parent.is_dir():
        raise DataError(f"there is no folder {out.parent} to write {out.name} into; make it first")
    done = draft(folder, out.parent)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(done.text)
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}); give another file with --out") from None
    return done


def draft(folder: Path, place: Path) -> Draft:
    """Draft a description.

    Args:
        folder: with the files of the data set.
        place: the folder of the description.

    Raises:
        DataError: no table holds events, or the data breaks a rule.
    """
    tables, others = find_tables(folder)
    roles = find_roles(tables)
    toml = _text(folder, place, roles, tables, others)
    try:
        dataset = parse(toml.text)
    except DescriptionError as error:
        raise DataError(
            f"no description of {folder} could be drafted ({error}); write one by docs/datasets.md"
        ) from None
    Schema(dataset)
    data = read(dataset, folder)
    counts = np.bincount(data.events.type, minlength=len(data.types)).tolist()
    types = dict(zip(data.types, counts, strict=True))
    return Draft(toml.text, toml.assumed, len(data.events), len(data.items), len(data.users), types)


def _text(folder: Path, place: Path, roles: Roles, tables: list[Table], others: dict[str, str]) -> Toml:
    toml = Toml()
    toml.comment(
        "Drafted by `reelstream init`. Correct what was assumed; docs/datasets.md explains every key. Delete the table "
        "of an attribute that says nothing about what people like."
    )
    toml.keys({"name": folder.resolve().name or "data", "folder": os.path.relpath(folder.resolve(), place.resolve())})
    used = [*roles.events, *(entity.table for entity in (roles.items, roles.users) if entity is not None)]
    for table in tables:
        if table not in used:
            toml.assume(f"{table.file.path} is left out: it holds neither events, nor the items or users of events")
    for path, reason in others.items():
        toml.comment(f"Left out: {path} {reason}.")
    for table in used:
        toml.gap()
        for note in table.notes:
            toml.assume(f"{table.file.path}: {note}")
        keys = table.file.model_dump(exclude_unset=True)
        toml.table(f"files.{table.name}", keys)
    sources, types = read_feedback(roles)
    for source in sources:
        _events(toml, source, roles, first=source is sources[0])
    for kind in types:
        toml.gap()
        toml.assume(f"{kind.name} ({kind.count:,} events): {'; '.join(kind.notes)}")
        toml.table(f"feedback.{kind.name}", kind.keys)
    _entities(toml, "items", roles.items, roles.columns(roles.item))
    _entities(toml, "users", roles.users, roles.columns(roles.user))
    _split(toml, roles)
    return toml


def _events(toml: Toml, source: Source, roles: Roles, *, first: bool) -> None:
    toml.gap()
    if first:
        for note in (note for notes in roles.notes.values() for note in notes):
            toml.assume(note)
    time = source.table.columns[roles.time]
    keys: dict[str, object] = {"file": source.table.name, "user": roles.user, "item": roles.item, "time": roles.time}
    if time.time_format not in ("", "s"):
        keys["time_format"] = time.time_format
    if time.time_format and "%" in time.time_format and time.ambiguous_days:
        toml.assume(f"in {roles.time!r} the {'day' if time.time_format.startswith('%d') else 'month'} comes first")
    if source.type:
        keys["type"] = source.type
        names = {text: name for text, name in source.names.items() if text != name}
        if names:
            keys["names"] = names
    else:
        keys["event"] = source.names[""]
    if source.value:
        keys["value"] = source.value
    toml.table("events", keys, array=True)
    others = [name for name in source.table.columns if name not in keys.values()]
    if others:
        toml.comment(f"Columns that are not read: {', '.join(others)}.")


def _entities(toml: Toml, part: str, entity: Entity | None, columns: list[Column]) -> None:
    """The items or the users; `columns` of events name them."""
    ids_of = [*columns, *([entity.key] if entity is not None else [])]
    keys: dict[str, object] = {"ids": "integer" if all(column.integer_ids for column in ids_of) else "string"}
    toml.gap()
    if entity is None:
        toml.assume(f"no file describes {part}: they are those that events name, without attributes")
        toml.table(part, keys)
        return
    keys |= {"file": entity.table.name, "id": entity.key.name}
    toml.assume(f"{entity.key.name!r} of {entity.table.file.path} is the id of {part}")
    wanted = pc.unique(pa.concat_arrays([column.texts for column in columns]))
    lacking = int(arrow.null(pc.index_in(wanted, value_set=entity.key.texts)).sum())
    if lacking:
        toml.assume(f"events name {lacking:,} {part} that the file lacks, which have no attributes")
        keys["complete"] = False
    drafted, left = item_attributes(entity) if part == "items" else user_attributes(entity)
    toml.table(part, keys)
    for attribute in drafted:
        toml.gap()
        toml.assume(attribute.note)
        toml.table(f"{part}.attributes.{attribute.name}", attribute.keys)
    if left:
        toml.gap()
    for column, reason in left.items():
        toml.assume(f"the column {column!r} is left out: {reason}")


def _split(toml: Toml, roles: Roles) -> None:
    """A point in time, where the last events of each user would be most of all events."""
    counts = pc.value_counts(pa.concat_arrays([column.texts for column in roles.columns(roles.user)]))
    of_user = arrow.whole(counts.field("counts"))
    if np.minimum(of_user, HELD_OUT).sum() <= (1 - LEFT) * of_user.sum():
        return
    times = np.sort(np.concatenate([_times(table, roles.time) for table in roles.events]))
    at = datetime.fromtimestamp(int(times[int(EARLIER * len(times))]) // MICROSECONDS, UTC)
    toml.gap()
    toml.assume(
        f"most users have few events, so that the events from a point in time on are held out, which are the last "
        f"{1 - EARLIER:.0%}, and not the last {HELD_OUT} of each user"
    )
    toml.table("split", {"kind": "time", "at": at})


def _times(table: Table, column: str) -> Ints:
    return values.times(table.columns[column].table, column, table.columns[column].time_format or "s")
