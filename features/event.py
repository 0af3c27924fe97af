"""The records of the log: events, one of a user with an item at one second; erasures; changes of items and users."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from features.changes import CHANGE_VERSION, ChangeFormat, ItemChange, UserChange
from features.dataset.codes import Codes
from features.dataset.part import MAX_SECONDS
from features.errors import EventError
from features.ids import Id, IdKind, id_text

SCHEMA_VERSION = 1
"""Version of the layout of an event; one that names none has this."""

ERASURE_VERSION = 2
"""Version of the layout of an erasure. A release that does not know it refuses it, and never takes it for an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a user with an item.

    Attributes:
        userid, itemid: of the user and the item.
        code: its type and, where that has a code of its own, its value (`features.dataset.codes`).
        ts: event time in unix seconds, 0 to 2**32 - 1.
        value: where its code does not tell it; else None.
    """

    userid: Id
    itemid: Id
    code: int
    ts: int
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of a user: from here on the user is unknown, as if no event before had been.

    Attributes:
        userid: of the user.
    """

    userid: Id


LogRecord = Event | Erasure | ItemChange | UserChange
"""A record of the log, as it was read."""


class EventFormat:
    """Reads and writes the events of a data set, and its erasures and changes.

    An event whose type has a value names it by its type, as in `{"userid": 7, "itemid": 1, "rating": 5, "ts": 100}`;
    any other names its type, as in `{"userid": "u7", "itemid": "i1", "event": "view", "ts": 100}`. What has a value may
    also be spelt out, with `event` and `value`.

    Args:
        users, items: the kinds of ids.
        codes: the codes of events.
        changes: reads and writes changes.
    """

    def __init__(self, users: IdKind, items: IdKind, codes: Codes, changes: ChangeFormat) -> None:
        self.users, self.items, self.codes, self.changes = users, items, codes, changes
        self._valued = tuple(name for name in codes.types if codes.has_value(name))

    def of(self, userid: object, itemid: object, name: str, ts: object, value: object = None) -> Event:
        """Make an event.

        Args:
            userid, itemid: of the user and the item.
            name: its type.
            ts: unix seconds.
            value: for a type that has values.

        Raises:
            EventError: naming the field and the rule.
        """
        user, item = self.users.check(userid, "userid"), self.items.check(itemid, "itemid")
        code, number = self._coded(name, value, "value")
        return Event(user, item, code, _time(ts), number)

    def item_change(self, itemid: object, version: object, words: object) -> ItemChange:
        """Make a change of an item from its title and attributes (see `features.words`).

        Raises:
            EventError: naming the field and the rule.
        """
        return self.changes.item(itemid, version, words)

    def withdrawal(self, itemid: object, version: object) -> ItemChange:
        """Make the withdrawal of an item.

        Raises:
            EventError: naming the field and the rule.
        """
        return self.changes.withdrawal(itemid, version)

    def user_change(self, userid: object, words: object) -> UserChange:
        """Make a change of a user from the attributes (see `features.words`).

        Raises:
            EventError: naming the field and the rule.
        """
        return self.changes.user(userid, words)

    def unknown_item_values(self, words: dict[str, object]) -> dict[str, list[str]]:
        """The values of an item's attributes that the schema does not know, and which count as missing."""
        return self.changes.of_items.unknown(words)

    def unknown_user_values(self, words: dict[str, object]) -> dict[str, list[str]]:
        """The values of a user's attributes that the schema does not know, and which count as missing."""
        return self.changes.of_users.unknown(words)

    def parse(self, fields: object) -> LogRecord:
        """Check the fields of a record.

        Raises:
            EventError: naming the field and the rule.
        """
        if not isinstance(fields, dict):
            raise EventError(f"an event is an object with {', '.join(self.required[:-1])} and {self.required[-1]}")
        version = fields.get("schema_version", SCHEMA_VERSION)
        if version == ERASURE_VERSION and type(version) is int:
            return self._erasure(fields)
        if version == CHANGE_VERSION and type(version) is int:
            return self.changes.parse(fields)
        if version != SCHEMA_VERSION:
            raise EventError(
                f"schema_version must be {SCHEMA_VERSION}, {ERASURE_VERSION} for an erasure, or {CHANGE_VERSION} for a "
                "change; resend the event after an upgrade"
            )
        userid = self.users.check(_field(fields, "userid"), "userid")
        itemid = self.items.check(_field(fields, "itemid"), "itemid")
        code, value = self._said(fields)
        return Event(userid, itemid, code, _time(_field(fields, "ts")), value)

    @property
    def required(self) -> tuple[str, ...]:
        """The fields of an event of the first type."""
        first = self.codes.types[0]
        return ("userid", "itemid", first if first in self._valued else "event", "ts")

    def decode(self, key: bytes | None, value: bytes | None) -> LogRecord:
        """Read a record as it stands in the log: value = JSON; key = userid, or itemid of a changed item, in UTF-8.

        Raises:
            EventError: naming the field and the rule.
        """
        try:
            fields = loads(value or b"")
        except (ValueError, RecursionError):
            raise EventError("value is not JSON") from None
        record = self.parse(fields)
        if key != key_text(record).encode():
            name, kind = ("itemid", self.items) if isinstance(record, ItemChange) else ("userid", self.users)
            rule = "in ASCII digits" if kind is IdKind.INTEGER else "in UTF-8"
            raise EventError(f"key is not the {name} {rule}")
        return record

    def fields(self, event: LogRecord) -> dict[str, object]:
        """The JSON object of a record."""
        if isinstance(event, ItemChange | UserChange):
            return self.changes.fields(event)
        if isinstance(event, Erasure):
            return {"schema_version": ERASURE_VERSION, "userid": event.userid, "erase": True}
        name = self.codes.type(event.code)
        value = self.value(event)
        said: dict[str, object] = {name: value} if value is not None else {"event": name}
        return {"userid": event.userid, "itemid": event.itemid, **said, "ts": event.ts}

    def value(self, event: Event) -> float | None:
        """The value of an event, a whole number where the type has only such; None where the type has none."""
        value = event.value if event.value is not None else self.codes.value(event.code)
        if value is None or not self.codes.whole(self.codes.type(event.code)):
            return value
        return int(value)

    def encode(self, event: LogRecord) -> tuple[bytes, bytes]:
        """Key and value of a record as they stand in the log."""
        text = json.dumps(self.fields(event), separators=(",", ":"), ensure_ascii=False)
        return key_text(event).encode(), text.encode()

    def _said(self, fields: dict[str, object]) -> tuple[int, float | None]:
        """(code, value) of what an event's fields say."""
        if "event" in fields:
            name = fields["event"]
            if not isinstance(name, str):
                raise EventError(f"event must be one of {', '.join(self.codes.types)}")
            given = fields.get("value", fields.get(name) if name in self._valued else None)
            return self._coded(name, given, "value")
        named = [name for name in self._valued if name in fields]
        if not named:
            raise EventError(f"{self.required[2]} is missing")
        if len(named) > 1:
            raise EventError(f"an event has only one of {' and '.join(named)}")
        return self._coded(named[0], fields[named[0]], named[0])

    def _coded(self, name: str, given: object, field: str) -> tuple[int, float | None]:
        """(code, the value where the code does not tell it)."""
        value: float | None = None
        if given is not None:
            kinds = (int,) if name in self._valued and self.codes.whole(name) else (int, float)
            if type(given) in kinds and _finite(given):
                value = float(given)  # type: ignore[arg-type]
            elif name in self.codes.types:
                value = math.nan
        try:
            code = self.codes.code(name, value)
        except ValueError as error:
            raise EventError(f"{field if name in self.codes.types else 'event'} {error}") from None
        return code, None if self.codes.value(code) is not None else value

    def _erasure(self, fields: dict[str, object]) -> Erasure:
        userid = self.users.check(_field(fields, "userid"), "userid")
        if fields.get("erase") is not True:
            raise EventError(f"erase must be true in an event of the schema_version {ERASURE_VERSION}")
        return Erasure(userid)


def key_text(record: LogRecord) -> str:
    """The key of a record: the user, or the item of a change of an item."""
    return id_text(record.itemid if isinstance(record, ItemChange) else record.userid)


def _finite(value: object) -> bool:
    """True for a number that a float holds."""
    assert isinstance(value, int | float)
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def loads(packed: bytes) -> Any:
    """Read JSON as `json.loads` does, without a look for other encodings than UTF-8, which these two bytes rule out.

    Raises:
        ValueError, RecursionError: if it is not JSON.
    """
    if packed[:1] == b"{" and packed[1:2] not in (b"", b"\0"):
        return _DECODER.decode(packed.decode("utf-8", "surrogatepass"))
    return json.loads(packed)


_DECODER = json.JSONDecoder()


def _field(fields: dict[str, object], name: str) -> object:
    if name not in fields:
        raise EventError(f"{name} is missing")
    return fields[name]


def _time(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SECONDS:
        raise EventError(f"ts must be a whole number from 0 to {MAX_SECONDS}")
    return value
