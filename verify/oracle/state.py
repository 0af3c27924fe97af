"""The state of some users and items, counted from their events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from verify.oracle.attributes import MISSING, Column
from verify.oracle.catalogue import content, greatest
from verify.oracle.changes import ItemChange
from verify.oracle.counting import (
    WEEK_S,
    WEEKS,
    Came,
    as_kept,
    by_value,
    changes,
    columns,
    counting,
    kept,
    latest,
    positive,
    weeks,
)
from verify.oracle.records import ARCHIVE, Records
from verify.oracle.rules import Id
from verify.oracle.weights import stored, weights

KEPT = 100
"""Latest events that a profile holds."""

MOST_WINDOWED = 64
"""Most values of a term that is counted among the last events too."""

LEAST_LENGTH = 2
"""Least length of the list of a term's counts."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Term:
    """An attribute of items by whose values events are counted.

    Attributes:
        name: of one of its values, as counts are called.
        size: length of the lists of counts.
        windowed: True if the last events are counted by it too.
        column: the attribute.
    """

    name: str
    size: int
    windowed: bool
    column: Column

    @classmethod
    def of(cls, column: Column) -> Term:
        names = column.names
        windowed = column.kind != "number" and len(names) <= MOST_WINDOWED
        return cls(column.fields.get("singular") or column.name, max(LEAST_LENGTH, len(names)), windowed, column)

    def counts(self, window: str = "") -> tuple[str, str]:
        """The names of the counts by its values, and of those that only count positive events."""
        return f"{self.name}_n{window}", f"{self.name}_likes{window}"

    @property
    def weights(self) -> str:
        """The name of the weights of its values."""
        return f"{self.name}_weights"


class Oracle(Records):
    """The state of some users and items, counted from their events; made as `Records` are."""

    @cached_property
    def terms(self) -> list[Term]:
        """The attributes of items by which events are counted."""
        return [Term.of(column) for column in self._items.attributes if column.fields.get("term")]

    def profile(self, userid: Id, upto: int) -> Row | None:
        """A user's profile after the offset `upto`, in the order in which it is stored; None where there is none."""
        came = self._came(self._of_user[userid], upto)
        if not came:
            return None
        counts = self.user_counts(userid, upto)
        profile: Row = {
            "userid": userid,
            "version": sum(1 for _ in changes(came)) + self._changes_of_profile(userid, came, upto),
            "recent": columns(counting(came)[-KEPT:]),
        }
        for term in self.terms:
            profile[term.weights] = stored(self._weights(came, term))
        return {name: profile.get(name, counts.get(name)) for name in self.profile_fields}

    def counted(self, userid: Id, upto: int) -> list[list[Any]]:
        """[ts, item, code, revision] of those events of a profile whose item was not as the history has it."""
        came = self._came(self._of_user[userid], upto)
        found = {(*event.recent, event.change.revision) for event in kept(came, KEPT) if event.change is not None}
        return [list(each) for each in sorted(found)]

    def _changes_of_profile(self, userid: Id, came: Sequence[Came], upto: int) -> int:
        """The number of changes of a user's attributes that met a profile."""
        first = min(event.offset for event in came)
        return sum(first < place <= upto for place, _ in self._user_changes.get(userid, ()))

    @property
    def user_fields(self) -> list[str]:
        """The features of a user."""
        counts = ["version", "n", "likes", "n10", "likes10", "n30", "likes30", "first_ts", "last_ts"]
        for term in self.terms:
            counts += [*term.counts(), *(term.counts("30") if term.windowed else ())]
        return [*(column.name for column in self.user_attributes), *counts]

    @property
    def item_fields(self) -> list[str]:
        """The features of an item."""
        counts = ["n", "likes", "recent_n", "recent_likes", "last_ts"]
        return [*counts, *(column.name for column in self.item_attributes)]

    @property
    def profile_fields(self) -> list[str]:
        """The fields of a profile in the order in which it is stored."""
        tallies = (name for term in self.terms for name in term.counts())
        weights = (term.weights for term in self.terms)
        return ["userid", "version", "n", "likes", "first_ts", "last_ts", *tallies, *weights, "recent"]

    def user_counts(self, userid: Id, upto: int) -> Row:
        """The counts of a user after the offset `upto`; all 0 where there is no event."""
        came = self._came(self._of_user[userid], upto)
        counts = counting(came)
        last = as_kept(counts, came)
        last30, last10 = last[-30:], last[-10:]
        row: Row = {
            "n": len(counts),
            "likes": positive(counts),
            "n10": len(last10),
            "likes10": positive(last10),
            "n30": len(last30),
            "likes30": positive(last30),
            "first_ts": min((event.ts for event in came), default=0),
            "last_ts": max((event.ts for event in came), default=0),
        }
        for term in self.terms:
            row |= zip(term.counts(), self._by_value(counts, term), strict=True)
            if term.windowed:
                row |= zip(term.counts("30"), self._by_value(last30, term), strict=True)
        return row

    def _by_value(self, events: Sequence[Came], term: Term) -> list[list[int]]:
        """Events, and the positive ones of them, by the values of a term."""
        liked = [event for event in events if event.positive]
        return [by_value(some, partial(self._codes, term), term.size) for some in (events, liked)]

    def _weights(self, came: Sequence[Came], term: Term) -> dict[int, int]:
        """The weights of a term's values after some events."""
        first_ts = min(event.ts for event in came)
        return weights(counting(came), partial(self._codes, term), first_ts, self._rules)

    def _codes(self, term: Term, event: Came) -> Sequence[int]:
        """The codes of the values of a term that an event's item had when the event came to count."""
        change = event.change
        return self._items.codes(event.itemid, term.column) if change is None else change.codes(term.column)

    def seen(self, userid: Id, upto: int) -> dict[Id, list[tuple[int, int]]]:
        """(seconds, code) of the latest event of each type with each item of the user, in the order of the types."""
        came = self._came(self._of_user[userid], upto)
        seen: dict[Id, list[tuple[int, int]]] = {}
        for event in sorted(latest(came), key=lambda event: event.type.number):
            seen.setdefault(event.itemid, []).append((event.ts, event.code))
        return seen

    def user_row(self, userid: Id, upto: int) -> Row | None:
        """A user's features."""
        profile = self.profile(userid, upto)
        if profile is None:
            return None
        names = [column.name for column in self.user_attributes]
        known = self.attributes(userid, upto) or [MISSING] * len(names)
        return self.user_counts(userid, upto) | {"version": profile["version"]} | dict(zip(names, known, strict=True))

    @property
    def user_attributes(self) -> list[Column]:
        """The attributes of users that have values."""
        return [column for column in self._users.attributes if column.kind in {"category", "number"} and column.names]

    def attributes(self, userid: Id, upto: int) -> list[int] | None:
        """The codes of a user's attributes after the offset `upto`; None where nothing is known."""
        erased = max((at for at in self._erasures.get(userid, ()) if at <= upto), default=ARCHIVE)
        changed = [each for at, each in self._user_changes.get(userid, ()) if erased < at <= upto]
        if changed:
            of_user = [changed[-1].codes(column) for column in self.user_attributes]
        elif erased > ARCHIVE or userid not in self._users:
            return None
        else:
            of_user = [self._users.codes(userid, column) for column in self.user_attributes]
        return [codes[0] if codes else MISSING for codes in of_user]

    def counter(self, shard: int, itemid: Id, upto: int) -> Row | None:
        """A shard's part of an item's counters after the offset `upto`; None where it has none."""
        came = self._came((event for event in self._of_item[itemid] if event.shard == shard), upto)
        if not came:
            return None
        of_user: dict[Id, list[Came]] = {}
        for event in came:
            of_user.setdefault(event.userid, []).append(event)
        counted = [event for events in of_user.values() for event in latest(events)]
        last_ts = max(event.ts for event in came)
        return {
            "n": len(counted),
            "likes": positive(counted),
            "last_ts": last_ts,
            "weeks": weeks(counted, last_ts),
        }

    def item_before(self, itemid: Id, shard: int, offset: int) -> tuple[int, int]:
        """(events, likes) of an item before an event, its shard's as of then and the others' before the log."""
        upto = [offset - 1 if number == shard else ARCHIVE for number in range(self._partitions)]
        parts = [part for number, at in enumerate(upto) if (part := self.counter(number, itemid, at)) is not None]
        return sum(part["n"] for part in parts), sum(part["likes"] for part in parts)

    def catalogue(self, itemid: Id, shard: int, upto: int) -> dict[str, Any]:
        """The attributes of an item in a shard by name, each as in a `Column`."""
        met = self._met(itemid, shard, upto)
        return {column.name: self._value(column, itemid, met) for column in self._items.attributes}

    def changed(self, shard: int, itemid: Id, upto: int) -> dict[str, Any] | None:
        """The decision of a shard about an item after the offset `upto`; None where it has met no change of it.

        Returns:
            `version` of the change that counts, `withdrawn`, and `content`: the version of the change that gives the
            attributes, 0 where none does.
        """
        met = self._met(itemid, shard, upto)
        decides, gives = greatest(met), content(met)
        if decides is None:
            return None
        return {
            "version": decides.version,
            "withdrawn": decides.attributes is None,
            "content": 0 if gives is None else gives.version,
        }

    def item_row(self, itemid: Id, upto: Sequence[int]) -> Row | None:
        """An item's features after the offsets `upto`, one for each shard; None where no shard knows it."""
        met = self._met_by_any(itemid, upto)
        if itemid not in self._items and content(met) is None:
            return None
        parts = [part for shard, at in enumerate(upto) if (part := self.counter(shard, itemid, at)) is not None]
        last_ts = max((part["last_ts"] for part in parts), default=0)
        oldest = last_ts // WEEK_S - WEEKS + 1
        recent = [week for part in parts for week in part["weeks"] if week[0] >= oldest]
        row: Row = {
            "n": sum(part["n"] for part in parts),
            "likes": sum(part["likes"] for part in parts),
            "recent_n": sum(n for _, n, _ in recent),
            "recent_likes": sum(likes for _, _, likes in recent),
            "last_ts": last_ts,
        }
        return row | {column.name: self._in_row(column, itemid, met) for column in self.item_attributes}

    @property
    def item_attributes(self) -> list[Column]:
        """The attributes of items that are in their feature rows."""
        return [column for column in self._items.attributes if column.in_row]

    def _in_row(self, column: Column, itemid: Id, met: Sequence[ItemChange]) -> Any:
        if column.kind != "number":
            change = content(met)
            return self._items.codes(itemid, column) if change is None else change.codes(column)
        number = self._value(column, itemid, met)
        return column.center if number is None else number

    def _value(self, column: Column, itemid: Id, met: Sequence[ItemChange]) -> Any:
        """An attribute of an item after some changes."""
        change = content(met)
        return self._items.value(itemid, column) if change is None else change.value(column)
