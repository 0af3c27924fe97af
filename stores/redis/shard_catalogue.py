"""The items of a shard that were changed since the snapshot, and the events that wait for an item.

{ratings-3}:catalogue  hash itemid -> the changed item as the shard knows it (`features.layer.Changed`)
{ratings-3}:changes    number of changes that became current; whoever keeps the items reads them again where it differs
{ratings-3}:withdrawn  set of itemids: the withdrawn ones of `catalogue`
{ratings-3}:waiting    hash itemid -> the events that wait for the item, in the order of the log
{ratings-3}:waits      number of all events that wait
{ratings-3}:unwritten  set of userids: users of the waiting events that were folded last, whose rows a crash may have
                       left unwritten

All are absent as long as no item is changed and no event waits. They change in the shard's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from features import Id, Item, Schema, id_text
from features.layer import Changed, Layer
from stores.errors import Unreadable
from stores.redis.connection import answers
from stores.redis.packed_changes import Waiting, pack_changed, pack_waiting, unpack_changed, unpack_waiting
from stores.redis.readable import offset_of, readable_id, readable_ids

if TYPE_CHECKING:
    from stores.redis.profiles import Profiles

CATALOGUE_KEYS = ("catalogue", "changes", "withdrawn", "waiting", "waits", "unwritten")
"""Names of a shard's keys that this module is about."""

Unpacked = dict[tuple[bytes, bytes], tuple[Id, Changed]]
"""Changed items by what is stored of them, (name, packed): most shards store the same."""


def number_of(stored: Any, key: str) -> int:
    """A number of a shard, such as that of its changes, from what is stored; 0 where nothing is.

    Raises:
        Unreadable: if it is no number.
    """
    return offset_of(stored, key) or 0


def read_layer(profiles: Profiles, shard: int, base: Mapping[Id, Item] | None = None) -> Layer:
    """The items as a shard knows them.

    Args:
        profiles: the generation of the state.
        shard: the shard.
        base: the published catalogue; None for the changed items alone.

    Raises:
        Unreadable: if a changed item cannot be read.
        Unreachable: if Redis does not answer.
    """
    return read_numbered_layer(profiles, shard, base or {})[1]


def read_numbered_layer(
    profiles: Profiles,
    shard: int,
    base: Mapping[Id, Item],
    unpacked: Unpacked | None = None,
) -> tuple[int, Layer]:
    """The number of a shard's changes, and the items as of these.

    The arguments are those of `read_layer` and `changed_items`; raises as `read_layer` does.
    """
    tag = profiles.tag(shard)
    read = profiles.client.pipeline(transaction=True)
    read.get(f"{tag}:changes")
    read.hgetall(f"{tag}:catalogue")
    changes, stored = answers(read)
    return number_of(changes, f"{tag}:changes"), Layer(base, changed_items(profiles.schema, stored, tag, unpacked))


def read_layers(profiles: Profiles, base: Mapping[Id, Item]) -> Layer:
    """The items after the changes that any shard has met; raises as `read_layer` does."""
    read = profiles.client.pipeline(transaction=False)
    for shard in range(profiles.partitions):
        read.hgetall(f"{profiles.tag(shard)}:catalogue")
    return _merged(profiles, base, answers(read))


def read_changed(profiles: Profiles, base: Mapping[Id, Item], itemids: Collection[Id]) -> Layer:
    """The same as far as some items are concerned: the others are as they were published."""
    if not itemids:
        return Layer(base)
    read = profiles.client.pipeline(transaction=False)
    names = list(map(id_text, itemids))
    for shard in range(profiles.partitions):
        read.hmget(f"{profiles.tag(shard)}:catalogue", names)
    encoded = [name.encode() for name in names]
    stored = [
        values if isinstance(values, Exception) else dict(zip(encoded, values, strict=True)) for values in answers(read)
    ]
    return _merged(profiles, base, stored)


def _merged(profiles: Profiles, base: Mapping[Id, Item], stored: Sequence[Any]) -> Layer:
    unpacked: Unpacked = {}
    layers = (
        Layer(base, changed_items(profiles.schema, of_shard, profiles.tag(shard), unpacked))
        for shard, of_shard in enumerate(stored)
    )
    return Layer.merged(layers, base)


def read_withdrawn(profiles: Profiles, shard: int) -> set[Id]:
    """The items that are withdrawn in a shard.

    Raises:
        Unreadable: if they cannot be read.
        Unreachable: if Redis does not answer.
    """
    read = profiles.client.pipeline(transaction=False)
    read.smembers(f"{profiles.tag(shard)}:withdrawn")
    (stored,) = answers(read)
    if isinstance(stored, Exception):
        raise Unreadable(f"{profiles.tag(shard)}:withdrawn in Redis is no set ({stored}); restore Redis from a backup")
    return {*readable_ids(profiles.schema.item_ids, stored)}


def waiting_items(profiles: Profiles) -> set[Id]:
    """The items that events wait for in any shard; raises Unreachable if Redis does not answer."""
    read = profiles.client.pipeline(transaction=False)
    for shard in range(profiles.partitions):
        read.hkeys(f"{profiles.tag(shard)}:waiting")
    names = (name for stored in answers(read) if not isinstance(stored, Exception) for name in stored)
    return {*readable_ids(profiles.schema.item_ids, names)}


def changes(profiles: Profiles) -> list[int]:
    """The number of changes of each shard.

    Raises:
        Unreadable: if one cannot be read.
        Unreachable: if Redis does not answer.
    """
    read = profiles.client.pipeline(transaction=False)
    keys = [f"{profiles.tag(shard)}:changes" for shard in range(profiles.partitions)]
    for key in keys:
        read.get(key)
    return [number_of(stored, key) for stored, key in zip(answers(read), keys, strict=True)]


def read_waiting(profiles: Profiles, shard: int) -> dict[Id, list[Waiting]]:
    """All events that wait in a shard, by item; without those that cannot be read.

    Raises:
        Unreachable: if Redis does not answer.
    """
    read = profiles.client.pipeline(transaction=False)
    read.hgetall(f"{profiles.tag(shard)}:waiting")
    (stored,) = answers(read)
    return readable_waiting(profiles.schema, stored)


def changed_items(schema: Schema, stored: Any, tag: str, unpacked: Unpacked | None = None) -> dict[Id, Changed]:
    """Changed items from what is stored, None in place of one that is not.

    Args:
        schema: of the data set.
        stored: packed items by id.
        tag: the shard's hash tag.
        unpacked: takes what was unpacked, to be unpacked once where other shards store the same, as they mostly do.

    Raises:
        Unreadable: if one cannot be read.
    """
    if isinstance(stored, Exception):
        raise Unreadable(f"{tag}:catalogue in Redis is no hash ({stored}); restore Redis from a backup")
    changed: dict[Id, Changed] = {}
    for name, packed in stored.items():
        if packed is None:
            continue
        known = None if unpacked is None else unpacked.get((name, packed))
        if known is None:
            if (itemid := readable_id(schema.item_ids, name)) is None:
                raise Unreadable(f"{tag}:catalogue in Redis has an item that is none; restore Redis from a backup")
            known = itemid, unpack_changed(schema, itemid, packed)
            if unpacked is not None:
                unpacked[name, packed] = known
        changed[known[0]] = known[1]
    return changed


def readable_changed(schema: Schema, stored: Any) -> dict[Id, Changed]:
    """Changed items from what is stored; without those that cannot be read."""
    changed: dict[Id, Changed] = {}
    for name, packed in ({} if isinstance(stored, Exception) else stored).items():
        try:
            changed |= changed_items(schema, {name: packed}, "")
        except Unreadable:
            continue
    return changed


def readable_waiting(schema: Schema, stored: Any) -> dict[Id, list[Waiting]]:
    """Events that wait, by item, from what is stored; without those that cannot be read."""
    waiting: dict[Id, list[Waiting]] = {}
    for name, packed in ({} if isinstance(stored, Exception) else stored).items():
        itemid = readable_id(schema.item_ids, name)
        try:
            if itemid is not None:
                waiting[itemid] = unpack_waiting(packed)
        except Unreadable:
            continue
    return waiting


def write_items(write: Any, tag: str, changed: Mapping[Id, Changed]) -> None:
    """Have a pipeline write changed items, at least one."""
    for itemid, each in changed.items():
        write.hset(f"{tag}:catalogue", id_text(itemid), cast(Any, pack_changed(each)))
    for names, put in ((_named(changed, True), write.sadd), (_named(changed, False), write.srem)):
        if names:
            put(f"{tag}:withdrawn", *names)


def _named(changed: Mapping[Id, Changed], withdrawn: bool) -> list[str]:
    return [id_text(itemid) for itemid, each in changed.items() if each.withdrawn == withdrawn]


def write_waiting(write: Any, tag: str, waiting: Mapping[Id, Sequence[Waiting]], waits: int) -> None:
    """Have a pipeline write the events that wait for some items, none to delete them, and how many wait in all."""
    if kept := {id_text(itemid): pack_waiting(entries) for itemid, entries in waiting.items() if entries}:
        write.hset(f"{tag}:waiting", mapping=cast(Any, kept))
    if gone := [id_text(itemid) for itemid, entries in waiting.items() if not entries]:
        write.hdel(f"{tag}:waiting", *gone)
    if waits:
        write.set(f"{tag}:waits", waits)
    else:
        write.delete(f"{tag}:waits")


def write_unwritten(write: Any, tag: str, userids: Iterable[Id]) -> None:
    """Have a pipeline note the users whose rows are to be written, in place of those before."""
    write.delete(f"{tag}:unwritten")
    if names := list(map(id_text, userids)):
        write.sadd(f"{tag}:unwritten", *names)


__all__ = [
    "CATALOGUE_KEYS",
    "Waiting",
    "changes",
    "read_changed",
    "read_layer",
    "read_layers",
    "read_withdrawn",
    "waiting_items",
]
