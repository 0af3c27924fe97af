"""The events before the log, and the catalogue: from the files of the data set, or from those of the archive.

* The files of events are read one after the other. An event that is in them twice, with the same user, item, type,
  value and second, is there once.
* A user's events are ordered by (seconds, place in the files). Those before the log are all but the user's last ones,
  or all before a point in time.
* Items and users are those of their file, then those that only events name, of which nothing else is known.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from verify.oracle import attributes
from verify.oracle.attributes import Column
from verify.oracle.changes import ChangeRules
from verify.oracle.files import Fields, rows
from verify.oracle.rules import Id, Past, Rules

MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


class Entities:
    """All items, or all users.

    Args:
        ids: of all, those of a file first.
        attributes: in the order of the description, each with a row for each id of the file.
    """

    def __init__(self, ids: Sequence[Id], attributes: Sequence[Column]) -> None:
        self.attributes = list(attributes)
        self._places = {each: place for place, each in enumerate(ids)}

    def __contains__(self, entity: Id) -> bool:
        return entity in self._places

    def name(self, ids: Iterable[Id]) -> None:
        """Take ids that events name, of which nothing else is known unless they are in the file."""
        for each in ids:
            self._places.setdefault(each, len(self._places))

    def among(self, ids: Collection[Id]) -> Entities:
        """Some of them."""
        some = Entities([], self.attributes)
        some._places = {each: self._places[each] for each in ids if each in self}
        return some

    def value(self, entity: Id, column: Column) -> Any:
        """An attribute of an item or a user."""
        place = self._places[entity]
        return column.values[place] if place < len(column.values) else column.missing

    def codes(self, entity: Id, column: Column) -> list[int]:
        """The codes of an attribute's values of an item or a user."""
        place = self._places[entity]
        return column.codes[place] if place < len(column.codes) else []


@dataclass(frozen=True)
class History:
    """The events and the catalogue before the log.

    Attributes:
        rules: of events.
        changes: the rules of changes.
        items, users: the catalogue.
        events: by user, in their order.
    """

    rules: Rules
    changes: ChangeRules
    items: Entities
    users: Entities
    events: dict[Id, list[Past]]

    def of_users(self, userids: Collection[Id]) -> History:
        """The part of some users, as if there had never been others."""
        users = self.users.among(userids)
        return replace(
            self, users=users, events={userid: self.events[userid] for userid in self.events if userid in users}
        )


def of_files(description: Path, folder: Path, online_events: int) -> History:
    """Read the files of a data set.

    Args:
        description: the file that describes them.
        folder: the data folder.
        online_events: how many of each user's last events are not before the log, unless the description says.
    """
    said = tomllib.loads(description.read_text(encoding="utf-8"))
    items, users = (_entities(folder, said, part) for part in ("items", "users"))
    rules = Rules(said)
    events = [event for source in said["events"] for event in _events(folder, said, rules, source)]
    return history_of(said, rules, items, users, events, online_events)


def _entities(folder: Path, said: Fields, part: str) -> Entities:
    ids, columns = attributes.read(folder, said, part)
    return Entities([_id(value, said[part]["ids"]) for value in ids], columns)


def history_of(
    said: Fields, rules: Rules, items: Entities, users: Entities, events: Iterable[Past], online_events: int
) -> History:
    """The history of all events of a data set, in the order of its files."""
    once = list(dict.fromkeys(events))
    items.name(event.itemid for event in once)
    users.name(event.userid for event in once)
    changes = ChangeRules(said, items.attributes, users.attributes)
    return History(rules, changes, items, users, _before_the_log(said, once, online_events))


def _id(value: Any, kind: str) -> Id:
    return int(value) if kind == "integer" else str(value)


def _events(folder: Path, said: Fields, rules: Rules, source: Fields) -> Iterator[Past]:
    user, item, time, kind, value = (source.get(key) or "" for key in ("user", "item", "time", "type", "value"))
    columns = [name for name in (user, item, time, kind, value) if name]
    places = {name: place for place, name in enumerate(columns)}
    users, items = (said[part]["ids"] for part in ("users", "items"))
    time_format = source.get("time_format", "s")
    names, ignored = source.get("names", {}), source.get("ignore", ())
    known: dict[tuple[str, Any], int] = {}
    for row in rows(folder, said["files"][source["file"]], columns, [name for name in (user, item, kind) if name]):
        text = row[places[kind]] if kind else source["event"]
        if text in ignored:
            continue
        event = (text, row[places[value]] if value else None)
        if event not in known:
            known[event] = _code(rules, names.get(text, text), event[1])
        userid, itemid = _id(row[places[user]], users), _id(row[places[item]], items)
        yield Past(userid, itemid, known[event], seconds(row[places[time]], time_format))


def _code(rules: Rules, name: str, value: Any) -> int:
    found = next(each for each in rules.types if each.name == name)
    code = found.code(float(value) if found.bounds is not None else None)
    assert code is not None, "the files were read before, by code that refuses such values"
    return code


def seconds(value: Any, time_format: str) -> int:
    """A time in unix seconds.

    >>> seconds("978300760.9", "s"), seconds("2001-01-01T00:12:40+00:00", "iso"), seconds(978307960999, "ms")
    (978300760, 978307960, 978307960)
    """
    if isinstance(value, datetime):
        return _floor(value)
    if isinstance(value, date):
        return _floor(datetime(value.year, value.month, value.day))
    if time_format == "iso":
        return _floor(datetime.fromisoformat(value))
    if "%" in time_format:
        return _floor(datetime.strptime(value, time_format))
    if isinstance(value, float) or (isinstance(value, str) and "." in value):
        scale = MICROSECONDS.get(time_format, 1e-3)
        return round(float(value) * scale) // 1_000_000
    return int(value) * MICROSECONDS[time_format] // 1_000_000 if time_format in MICROSECONDS else int(value) // 10**9


def _floor(time: datetime) -> int:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return int((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)


def _before_the_log(said: Fields, events: Sequence[Past], online_events: int) -> dict[Id, list[Past]]:
    of_user: dict[Id, list[Past]] = {}
    for event in events:
        of_user.setdefault(event.userid, []).append(event)
    split = said.get("split") or {"kind": "last", "events": online_events}
    for userid, some in of_user.items():
        # The sort keeps the order of the files within a second.
        ordered = sorted(some, key=lambda event: event.ts)
        if split["kind"] == "last":
            of_user[userid] = ordered[: max(0, len(ordered) - split["events"])]
        else:
            at = split["at"] if isinstance(split["at"], datetime) else datetime.fromisoformat(split["at"])
            of_user[userid] = [event for event in ordered if event.ts < at.timestamp()]
    return of_user
