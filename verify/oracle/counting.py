"""The events of a user that count, and their sums, each from the list of all that came.

* Of the events of a user with an item that are of one type, and of which each replaces the one before, the latest in
  time counts; of those at the same second the last that came.
* Of a type whose events accumulate, each counts unless it is the very one that is known as the latest of its user,
  item and type: with the same code, at the same second.
* The latest event of a user, an item and a type is the later in time, and of those at the same second the last that
  came.
* Within a user, events are ordered by (seconds, item, code).
* An event adds to the values that its item had as the event came to count, and goes on doing so when the item changes.
  Of events of a user that only differ in that, the last events know the last one that came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from verify.oracle.changes import ItemChange
from verify.oracle.rules import Id, Type

WEEK_S = 604_800
WEEKS = 8


@dataclass(frozen=True)
class Came:
    """A valid event, in the order in which events came within their user.

    Attributes:
        shard: of its user.
        offset: from which it counts: that of its record, or of the change that brought its item.
        userid, itemid, code, ts: the event.
        type: of the event.
        positive: True for a positive one.
        change: gave the item the attributes that it had then; None where they are those of the history.
    """

    shard: int
    offset: int
    userid: Id
    itemid: Id
    code: int
    ts: int
    type: Type
    positive: bool
    change: ItemChange | None = None

    @property
    def recent(self) -> tuple[int, Id, int]:
        """The event as profiles keep it."""
        return self.ts, self.itemid, self.code


def latest(came: Iterable[Came]) -> list[Came]:
    """The latest event of each item and each type, of a user's events in the order in which they came."""
    found: dict[tuple[Id, int], Came] = {}
    # The sort keeps the order in which events of the same second came.
    for event in sorted(came, key=lambda event: event.ts):
        before = found.get((event.itemid, event.type.number))
        # The same once more changes nothing, though the item may have been changed meanwhile.
        found[event.itemid, event.type.number] = before if before is not None and _is(event, before) else event
    return list(found.values())


def counting(came: Sequence[Came]) -> list[Came]:
    """Those of a user's events that count, in their order."""
    replacing = [event for event in latest(came) if event.type.replaces]
    accumulating = [
        event
        for number, event in enumerate(came)
        if not event.type.replaces and not _is(event, _known(event, came[:number]))
    ]
    return sorted([*replacing, *accumulating], key=lambda event: event.recent)


def columns(events: Sequence[Came]) -> list[Any]:
    """Events in their order as a profile holds them: the first time and the steps after it, the items, the codes."""
    if not events:
        return []
    times = [event.ts for event in events]
    steps = [later - earlier for earlier, later in pairwise(times)]
    return [[times[0], *steps], [event.itemid for event in events], bytes(event.code for event in events)]


def as_kept(counts: Sequence[Came], came: Sequence[Came]) -> list[Came]:
    """Events that count, each as the last that came of those that are kept alike."""
    counted = set(map(id, counts))
    last = {event.recent: event for event in came if id(event) in counted}
    return [last[event.recent] for event in counts]


def kept(came: Sequence[Came], most: int) -> list[Came]:
    """Events of which a profile keeps what they were counted under: the last ones, and those that may be replaced."""
    counts = as_kept(counting(came), came)
    return [*counts[-most:], *(event for event in counts[:-most] if event.type.replaces)]


def changes(came: Sequence[Came]) -> Iterator[Came]:
    """The events that changed the state of their user as they came: those that counted then, and new first ones."""
    for number, event in enumerate(came):
        before = came[:number]
        known = _known(event, before)
        late = known is not None and known.ts > event.ts and event.type.replaces
        if not (late or _is(event, known)) or event.ts < min(earlier.ts for earlier in before):
            yield event


def _known(event: Came, before: Sequence[Came]) -> Came | None:
    """The latest event of the item and the type of an event, of those that came before it."""
    alike = [other for other in before if other.itemid == event.itemid and other.type is event.type]
    return latest(alike)[0] if alike else None


def _is(event: Came, known: Came | None) -> bool:
    """Return True if an event is the very one that is known."""
    return known is not None and (known.ts, known.code) == (event.ts, event.code)


def weeks(counted: Sequence[Came], last_ts: int) -> list[list[int]]:
    """[week, events, positive ones] of the eight weeks up to that of `last_ts`, without weeks that have none."""
    oldest = last_ts // WEEK_S - WEEKS + 1
    found: list[list[int]] = []
    for week in sorted({event.ts // WEEK_S for event in counted if event.ts // WEEK_S >= oldest}):
        of_week = [event for event in counted if event.ts // WEEK_S == week]
        found.append([week, len(of_week), positive(of_week)])
    return found


def positive(events: Iterable[Came]) -> int:
    """The number of positive events."""
    return sum(event.positive for event in events)


def by_value(events: Iterable[Came], codes_of: Callable[[Came], Sequence[int]], size: int) -> list[int]:
    """Count events by the values of their items.

    Args:
        events: the events.
        codes_of: gives the codes of the values that an event's item had.
        size: how many values there are.
    """
    codes = [code for event in events for code in codes_of(event)]
    return [codes.count(value) for value in range(size)]
