"""Events that wait for their items, as records and as the fold in memory has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from features import Event, Id, Schema
from stores.redis.packed_changes import Waiting


def as_records(schema: Schema, waiting: Mapping[Id, Sequence[tuple[int, Event]]]) -> dict[Id, list[Waiting]]:
    """Events as records that are equal to those of the log but for their bytes and times, which nothing depends on."""
    return {
        itemid: [Waiting(offset, 0.0, *schema.events.encode(event)) for offset, event in events]
        for itemid, events in waiting.items()
    }


def as_events(schema: Schema, waiting: Mapping[Id, Iterable[Waiting]]) -> dict[Id, list[tuple[int, Event]]]:
    """Records that wait, each of which was checked before it came to wait, as (offset, event).

    Raises:
        EventError: if one is no event.
    """
    found: dict[Id, list[tuple[int, Event]]] = {}
    for itemid, records in waiting.items():
        for record in records:
            event = schema.events.decode(record.key, record.value)
            if isinstance(event, Event):
                found.setdefault(itemid, []).append((record.offset, event))
    return found
