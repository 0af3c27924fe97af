"""Changes of items and users in the log of a system, and of what Redis stores of them, which `verify` must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

from features import Event, Id, ItemChange, UserChange, id_text
from stores import Published
from stores.redis.published_runs import METADATA, VECTORS
from tests.system.conftest import System

LATE = 1_750_000_000
"""After all events of the data set, and not in the future."""


def send(system: System, *changes: ItemChange | UserChange) -> None:
    """Append changes, those of items to every partition."""
    records = []
    for change in changes:
        key, value = system.schema.events.encode(change)
        everywhere = range(system.settings.kafka.partitions)
        shards = everywhere if isinstance(change, ItemChange) else [system.partition(change.userid)]
        records += [(key, value, shard) for shard in shards]
    system.send(records)


@dataclass
class Changed:
    """A system in whose log items and users were changed.

    Attributes:
        system: it.
        userid: a user who was changed, and has an event of the changed item since.
        item: an item whose attributes were changed.
        withdrawn: an item that was withdrawn.
        new: an item that came.
        awaited: an item that the user has an event of, and nobody knows.
    """

    system: System
    userid: Id
    item: Id
    withdrawn: Id
    new: Id = 900_001
    awaited: Id = 900_002

    @classmethod
    def made(cls, system: System) -> Changed:
        """Change items and a user; returns once all of it is published."""
        words, items = system.schema.events, system.catalogue_items()
        changed = cls(system, system.events[0].userid, items[0], items[1])
        system.send_events(system.events[:300])
        send(
            system,
            words.item_change(changed.item, 5, {"title": "Changed", "year": 1991, "genres": ["War"]}),
            words.withdrawal(changed.withdrawn, 5),
            words.item_change(changed.new, 1, {"title": "New", "year": 2001, "genres": ["Drama", "War"]}),
            words.user_change(changed.userid, {"gender": "F", "age": "25"}),
        )
        happened = [changed.item, changed.new, changed.withdrawn, changed.awaited]
        system.send_events([Event(changed.userid, itemid, 5, LATE + at) for at, itemid in enumerate(happened)])
        system.wait_for_drift()
        system.wait_for_items()
        return changed

    @property
    def shard(self) -> int:
        """The shard of the user."""
        return self.system.partition(self.userid)

    def change(self, key: str, field: Id, change: Callable[[Any], None], shard: int | None = None) -> None:
        """Change a field of a hash of a shard, that of the user unless it is given."""
        client, name = self.system.profiles.client, self.system.profiles.tag(self.shard if shard is None else shard)
        stored = msgpack.unpackb(client.hget(f"{name}:{key}", id_text(field)))
        change(stored)
        client.hset(f"{name}:{key}", id_text(field), msgpack.packb(stored))


Tampering = Callable[[Changed], str]
"""Changes what is stored; gives the beginning of the name under which it must be reported."""


def the_version_of_a_changed_item(changed: Changed) -> str:
    changed.change("catalogue", changed.item, lambda stored: stored.update(version=4), shard=2)
    return f"changed item {changed.item} in shard 2"


def the_attributes_that_events_were_counted_under(changed: Changed) -> str:
    def change(stored: dict[str, Any]) -> None:
        stored["counted"][0][1] += "x"

    changed.change("catalogue", changed.item, change, shard=3)
    return f"changed item {changed.item} in shard 3"


def an_item_that_a_shard_has_lost(changed: Changed) -> str:
    system = changed.system
    system.profiles.client.hdel(f"{system.profiles.tag(4)}:catalogue", id_text(changed.new))
    return f"changed item {changed.new} in shard 4"


def a_waiting_event_that_was_lost(changed: Changed) -> str:
    system = changed.system
    system.profiles.client.hdel(f"{system.profiles.tag(changed.shard)}:waiting", id_text(changed.awaited))
    return f"events that wait for item {changed.awaited} in shard {changed.shard}"


def the_number_of_waiting_events(changed: Changed) -> str:
    system = changed.system
    system.profiles.client.incr(f"{system.profiles.tag(changed.shard)}:waits")
    return f"number of waiting events in shard {changed.shard}"


def the_number_of_changes(changed: Changed) -> str:
    system = changed.system
    system.profiles.client.incr(f"{system.profiles.tag(5)}:changes")
    return "number of changes of items in shard 5"


def a_withdrawn_item_that_is_not_among_them(changed: Changed) -> str:
    system = changed.system
    system.profiles.client.srem(f"{system.profiles.tag(6)}:withdrawn", id_text(changed.withdrawn))
    return "withdrawn items of shard 6"


def the_attributes_of_a_changed_user(changed: Changed) -> str:
    system = changed.system
    key = f"{system.profiles.tag(changed.shard)}:users"
    other = next(value for value in system.profiles.client.hvals(key) if value[:1] != b"\0")
    system.profiles.client.hset(key, id_text(changed.userid), other)
    return f"attributes of user {changed.userid}"


def the_revision_that_an_event_was_counted_under(changed: Changed) -> str:
    client = changed.system.profiles.client
    key = f"{changed.system.profiles.tag(changed.shard)}:profile:{changed.userid}"
    fields = msgpack.unpackb(client.get(key))
    fields[-1][0][-1] += 1
    client.set(key, msgpack.packb(fields))
    return f"profile and seen filter of user {changed.userid}"


def a_vector_of_the_live_run(changed: Changed) -> str:
    published = Published(changed.system.profiles.client)
    run = published.run()
    assert run is not None
    key = f"{VECTORS}:{run.run}"
    rows = np.frombuffer(published.client.get(key), dtype=np.float32).copy()
    rows[0] += 1
    published.client.set(key, rows.tobytes())
    return "vector of item "


def the_regression_of_the_live_run(changed: Changed) -> str:
    published = Published(changed.system.profiles.client)
    run = published.run()
    assert run is not None
    published.client.hset(METADATA, run.run, b"nothing")
    return f"regression of the live run {run.run}"


TAMPERINGS: tuple[Tampering, ...] = (
    the_version_of_a_changed_item,
    the_attributes_that_events_were_counted_under,
    an_item_that_a_shard_has_lost,
    a_waiting_event_that_was_lost,
    the_number_of_waiting_events,
    the_number_of_changes,
    a_withdrawn_item_that_is_not_among_them,
    the_attributes_of_a_changed_user,
    the_revision_that_an_event_was_counted_under,
    a_vector_of_the_live_run,
    the_regression_of_the_live_run,
)
