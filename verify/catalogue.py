"""The comparison of the items as a shard knows them, and of the events that wait in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from features import Event, EventError, Id, Schema
from stores.redis.packed_changes import Waiting
from stores.redis.shard_view import ShardView
from verify.log import Expected
from verify.report import Unreadable

TIMES = 10**15
"""The least number of changes that is a time in microseconds, as a shard is given that is written as a whole."""


class Difference(NamedTuple):
    """A value that is not stored as it must be.

    Attributes:
        name: of the value.
        expected, stored: what it must be, and is.
    """

    name: str
    expected: object
    stored: object


def differences_of(expected: Expected, shard: int, view: ShardView) -> Iterator[Difference]:
    """Compare the changed items of a shard, and the events that wait in it, with the log folded as far as the shard."""
    layer, waiting = expected.layer(shard), expected.waiting(shard)
    for itemid in layer.changed.keys() | view.changed.keys():
        yield from _different(
            f"changed item {itemid} in shard {shard}", layer.changed.get(itemid), view.changed.get(itemid)
        )
    yield from _different(f"withdrawn items of shard {shard}", layer.withdrawn, set(view.withdrawn))
    held = decoded(expected.schema, view.waiting)
    for itemid in waiting.keys() | held.keys():
        name = f"events that wait for item {itemid} in shard {shard}"
        yield from _different(name, waiting.get(itemid), held.get(itemid))
    number = sum(map(len, waiting.values()))
    yield from _different(f"number of waiting events in shard {shard}", number, view.waits)
    # Where a shard was written as a whole, it only matters that nobody has seen the number before.
    if not (layer.changed and view.changes >= TIMES):
        yield from _number_of_changes(expected, shard, view.changes)


def _number_of_changes(expected: Expected, shard: int, stored: int) -> Iterator[Difference]:
    """Compare a number of changes; of those before an adopted state it is known that each item has one at least."""
    name, made = f"number of changes of items in shard {shard}", expected.made_current[shard]
    if begun := expected.begun_changed[shard]:
        if stored < begun + made:
            yield Difference(name, f"at least {begun + made}", stored)
    else:
        yield from _different(name, made, stored)


def decoded(schema: Schema, waiting: Mapping[Id, Sequence[Waiting]]) -> dict[Id, list[tuple[int, Event | Unreadable]]]:
    """Events that wait, each with its offset, as the fold has them."""
    return {itemid: [(entry.offset, _event(schema, entry)) for entry in entries] for itemid, entries in waiting.items()}


def _event(schema: Schema, entry: Waiting) -> Event | Unreadable:
    try:
        event = schema.events.decode(entry.key, entry.value)
    except EventError as error:
        return Unreadable(str(error))
    return event if isinstance(event, Event) else Unreadable("no event")


def _different(name: str, expected: object, stored: object) -> Iterator[Difference]:
    if expected != stored:
        yield Difference(name, expected, stored)
