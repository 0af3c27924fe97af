"""The events: one rating of one item by one user at one second, and the erasure of a user."""

from __future__ import annotations

import json
from dataclasses import dataclass

LIKED = 4
"""Lowest rating that counts as a like (the label is rating > 3)."""

MAX_ID = 2**31 - 1
MAX_TS = 2**32 - 1


SCHEMA_VERSION = 1
"""Version of the layout of a rating; an event that names none has this."""

ERASURE_VERSION = 2
"""Version of the layout of an erasure. A release that does not know it refuses it, and never takes it for a rating."""


class EventError(ValueError):
    """An event that cannot be understood; the message names the field and the rule."""


@dataclass(frozen=True, slots=True)
class Event:
    """A rating event.

    Attributes:
        userid: 1 to 2**31 - 1.
        itemid: 1 to 2**31 - 1.
        rating: 1 to 5.
        ts: event time in unix seconds, 0 to 2**32 - 1.
    """

    userid: int
    itemid: int
    rating: int
    ts: int

    @property
    def liked(self) -> bool:
        """The label: rating > 3."""
        return self.rating >= LIKED


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of a user: from here on the user is unknown, as if no event before had been.

    Attributes:
        userid: 1 to 2**31 - 1.
    """

    userid: int


RULES: dict[str, tuple[int, int]] = {
    "userid": (1, MAX_ID),
    "itemid": (1, MAX_ID),
    "rating": (1, 5),
    "ts": (0, MAX_TS),
}


def parse(fields: object) -> Event | Erasure:
    """Check the fields of an event.

    Raises:
        EventError: naming the field and the rule.
    """
    if not isinstance(fields, dict):
        raise EventError("an event is an object with userid, itemid, rating and ts")
    version = fields.get("schema_version", SCHEMA_VERSION)
    if version == ERASURE_VERSION and type(version) is int:
        return _erasure(fields)
    if version != SCHEMA_VERSION:
        raise EventError(
            f"schema_version must be {SCHEMA_VERSION}, or {ERASURE_VERSION} for an erasure; resend the event after an "
            "upgrade"
        )
    return Event(*[_number(fields, name) for name in RULES])


def _erasure(fields: dict[str, object]) -> Erasure:
    userid = _number(fields, "userid")
    if fields.get("erase") is not True:
        raise EventError(f"erase must be true in an event of the schema_version {ERASURE_VERSION}")
    return Erasure(userid)


def _number(fields: dict[str, object], name: str) -> int:
    if name not in fields:
        raise EventError(f"{name} is missing")
    value, (low, high) = fields[name], RULES[name]
    if type(value) is not int or not low <= value <= high:
        raise EventError(f"{name} must be a whole number from {low} to {high}")
    return value


def decode(key: bytes | None, value: bytes | None) -> Event | Erasure:
    """Read an event as it stands in the log: key = userid in ASCII digits, value = JSON.

    >>> decode(b"7", b'{"userid": 7, "itemid": 1, "rating": 5, "ts": 978300760}')
    Event(userid=7, itemid=1, rating=5, ts=978300760)
    >>> decode(*encode(Erasure(7)))
    Erasure(userid=7)

    Raises:
        EventError: naming the field and the rule.
    """
    try:
        fields = json.loads(value or b"")
    except (ValueError, RecursionError):
        raise EventError("value is not JSON") from None
    event = parse(fields)
    if key != str(event.userid).encode():
        raise EventError("key is not the userid in ASCII digits")
    return event


def encode(event: Event | Erasure) -> tuple[bytes, bytes]:
    """Key and value of an event as they stand in the log."""
    if isinstance(event, Erasure):
        fields = {"schema_version": ERASURE_VERSION, "userid": event.userid, "erase": True}
    else:
        fields = {"userid": event.userid, "itemid": event.itemid, "rating": event.rating, "ts": event.ts}
    return str(event.userid).encode(), json.dumps(fields, separators=(",", ":")).encode()
