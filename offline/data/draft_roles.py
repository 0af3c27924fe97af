"""The roles of tables (events, items, users) and of the columns of events that name them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import pyarrow.compute as pc

from offline.data import draft_words as words
from offline.data.draft_columns import NEARLY, NO_ID, Column
from offline.data.draft_files import Table
from offline.errors import DataError

CONTAINED = 0.5
"""Share of the ids of events that a table must have to be the one with their items or users."""


@dataclass(frozen=True)
class Entity:
    """A table of items or users.

    Attributes:
        table: the table.
        key: its column with the id.
        lacking: ids of events that it lacks.
    """

    table: Table
    key: Column
    lacking: int


@dataclass(frozen=True)
class Roles:
    """The contents of the tables.

    Attributes:
        events: the tables of events, the one with most of them first.
        user, item, time: names of the columns of events.
        items, users: their tables, None where there is none.
        notes: what was assumed, by what it is about.
    """

    events: list[Table]
    user: str
    item: str
    time: str
    items: Entity | None
    users: Entity | None
    notes: dict[str, list[str]] = field(default_factory=dict)

    def columns(self, name: str) -> list[Column]:
        """A column of all tables of events."""
        return [table.columns[name] for table in self.events]


@dataclass(frozen=True)
class _Choice:
    """A way to read a table as events, and how much speaks for it."""

    score: float
    table: Table
    user: Column
    item: Column
    time: Column
    users: Entity | None
    items: Entity | None


def find_roles(tables: Sequence[Table]) -> Roles:
    """Find the tables of events, items and users.

    Raises:
        DataError: no table can hold events.
    """
    timed = [table for table in tables if _times(table)]
    if not timed:
        names = ", ".join(table.file.path for table in tables)
        raise DataError(f"no column of {names} can hold the times of events; add one with, say, times in ISO format")
    choices = sorted(
        (choice for table in timed for choice in _choices(table, tables)), key=lambda choice: -choice.score
    )
    if not choices:
        names = ", ".join(table.file.path for table in timed)
        raise DataError(f"{names} has times, but no two columns that can hold ids of users and items; add them")
    best = choices[0]
    names_ = (best.user.name, best.item.name, best.time.name)
    further = [table for table in timed if table is not best.table and {*names_} <= {*table.columns}]
    further = [table for table in further if table.columns[best.time.name] in _times(table)]
    events = sorted([best.table, *further], key=lambda table: -table.rows)
    return Roles(events, *names_, best.items, best.users, _notes(best, choices, events))


def _notes(best: _Choice, choices: Sequence[_Choice], events: Sequence[Table]) -> dict[str, list[str]]:
    """The choices that were made where there was one."""
    notes: dict[str, list[str]] = {}
    others = {choice.table.file.path for choice in choices} - {table.file.path for table in events}
    if others:
        notes["file"] = [f"{best.table.file.path} holds the events; {', '.join(sorted(others))} could hold some too"]
    roles = (("user", words.USER), ("item", words.ITEM))
    sure = {named.name for role, among in roles if (named := getattr(best, role)).named(among)}
    for role, among in roles:
        column: Column = getattr(best, role)
        if not column.named(among):
            here = {getattr(choice, role).name for choice in choices if choice.table is best.table}
            also = sorted(here - sure - {column.name})
            rest = f"; it could be {' or '.join(also)} too" if also else ""
            notes[role] = [f"{column.name!r} names the {role} of an event{rest}"]
    times = [column.name for column in _times(best.table)]
    if len(times) > 1:
        also = [name for name in times if name != best.time.name]
        notes["time"] = [f"{best.time.name!r} is when an event happened; {', '.join(also)} holds times too"]
    return notes


def _times(table: Table) -> list[Column]:
    """The columns that can hold times, the likeliest first."""
    columns = [column for column in table.columns.values() if column.time_format is not None]
    # Numbers may be times by chance.
    sure = [column for column in columns if column.named(words.TIME) or column.numbers is None]
    return sorted(sure or columns, key=lambda column: not column.named(words.TIME))


def _choices(table: Table, tables: Sequence[Table]) -> Iterator[_Choice]:
    """Every way to take two columns of a table for users and items."""
    time = _times(table)[0]
    ids = [column for column in table.columns.values() if _may_repeat(column)]
    entities = {column.name: list(_entities(column, table, tables)) for column in ids}
    size = math.log10(table.rows + 1) + time.named(words.TIME)
    for user, item in permutations(ids, 2):
        own = _likeness(user, words.USER, words.ITEM) + _likeness(item, words.ITEM, words.USER)
        for users in [*entities[user.name], None]:
            for items in [*entities[item.name], None]:
                if users is not None and items is not None and users.table is items.table:
                    continue
                score = size + own + _fits(users, "users") + _fits(items, "items")
                yield _Choice(score, table, user, item, time, users, items)


def _may_repeat(column: Column) -> bool:
    """True if a column may hold ids that come again and again."""
    return (
        column.id_like
        and column.missing <= (1 - NEARLY) * column.rows
        and len(column.distinct) < column.rows
        and len(column.distinct) > min(NO_ID, column.rows // 10)
        and column.mean_length < 64
    )


def _likeness(column: Column, own: frozenset[str], other: frozenset[str]) -> float:
    """The strength with which a column's name and values speak for ids of one kind."""
    score = math.log10(len(column.distinct)) / 2
    score += 4.0 * column.named(own) - 3.0 * (column.named(other) and not column.named(own))
    score -= 6.0 * column.named(words.SESSION)
    return score - 2.0 * (2 * len(column.distinct) > column.rows)


def _entities(column: Column, events: Table, tables: Sequence[Table]) -> Iterator[Entity]:
    """The tables that have most ids of a column, by one of their own."""
    for table in tables:
        for key in table.keys if table is not events else ():
            known = pc.is_in(pc.unique(column.texts), key.texts)
            held = int(pc.sum(known).as_py() or 0)
            if held >= CONTAINED * len(column.distinct):
                yield Entity(table, key, len(column.distinct) - held)


def _fits(entity: Entity | None, kind: str) -> float:
    """The strength with which a table looks like one of items or users."""
    if entity is None:
        return 0.0
    table, columns = entity.table, list(entity.table.columns.values())
    held = len(entity.key.distinct)
    # Small numbers are in any table with as many rows, so a table that has exactly the ids is preferred.
    score = 1.0 - entity.lacking / (held + entity.lacking)
    own, other = (words.USER, words.ITEM) if kind == "users" else (words.ITEM, words.USER)
    score += 1.5 * (words.names(table.name, own) or entity.key.named(own))
    score -= 1.5 * (words.names(table.name, other) or entity.key.named(other))
    personal = any(column.named(words.PERSONAL) for column in columns)
    described = any(
        column.named(words.TITLE | words.TEXT) or column.separator is not None or column.lists for column in columns
    )
    score += (personal - described) if kind == "users" else (described - personal)
    return score + (0.25 if kind == "items" else 0.0)
