"""Changed items, and events that wait for an item, as bytes in Redis and in the files of a saved state.

Both carry the version of their layout: they came after the state's version, which stays as it was without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import msgpack

from features import Id, Item, Schema
from features.changes import revision
from features.layer import Changed
from features.stored import VersionError, require_version
from stores.errors import OtherVersion, Unreadable
from stores.redis.packing import UNREADABLE, unpacked_value

CHANGED_VERSION, WAITING_VERSION = 1, 1
"""Versions of the layouts of a changed item and of the events that wait for one."""


class Waiting(NamedTuple):
    """A record of the log, which waits for its item.

    Attributes:
        offset, created, key, value: of the record (see `stores.kafka.record.Logged`).
    """

    offset: int
    created: float
    key: bytes
    value: bytes


def pack_changed(changed: Changed) -> bytes:
    """A changed item as it is stored: the attributes of each revision, one of which is that of `content`."""
    counted = [(number, item.title, item.values) for number, item in sorted(changed.counted.items())]
    return cast(
        bytes,
        msgpack.packb(
            {
                "schema_version": CHANGED_VERSION,
                "version": changed.version,
                "order": changed.order,
                "withdrawn": changed.withdrawn,
                "content": changed.content,
                "counted": counted,
            }
        ),
    )


def unpack_changed(schema: Schema, itemid: Id, packed: bytes) -> Changed:
    """A changed item from what is stored.

    Raises:
        Unreadable: if it is none.
        OtherVersion: if it has another version.
    """
    try:
        fields = _fields(packed, CHANGED_VERSION, "a changed item")
        version, order, withdrawn = fields["version"], fields["order"], fields["withdrawn"]
        of_content, content = fields["content"]
        counted = {number: _item(schema, itemid, row) for number, *row in fields["counted"]}
        if not (_whole(version, of_content, *counted) and _texts(order, content) and isinstance(withdrawn, bool)):
            raise TypeError("a value is of another kind")
        item = counted[revision(content)] if of_content else None
    except (KeyError, AttributeError, IndexError, *UNREADABLE) as error:
        what = f"the stored change of item {itemid} cannot be read ({error!r})"
        raise Unreadable(f"{what}; restore Redis from a backup") from error
    return Changed(version, order, item, withdrawn, counted, (of_content, content))


def _fields(packed: bytes, version: int, what: str) -> dict[str, Any]:
    """The fields of what is stored, once it has the version of today."""
    fields = cast("dict[str, Any]", msgpack.unpackb(packed))
    try:
        require_version(fields["schema_version"], version)
    except VersionError as error:
        raise OtherVersion(
            f"{what} is stored by another release: {error}; go back to that release, or run `reelstream rebuild`"
        ) from error
    return fields


def _item(schema: Schema, itemid: Id, row: Sequence[Any]) -> Item:
    title, values = row
    if not isinstance(title, str):
        raise TypeError("a title is no text")
    return schema.item(itemid, title, tuple(map(unpacked_value, values)))


def _whole(*numbers: Any) -> bool:
    return all(type(number) is int for number in numbers)


def _texts(*values: Any) -> bool:
    return all(type(value) is str for value in values)


def pack_waiting(entries: Sequence[Waiting]) -> bytes:
    """The events that wait for an item as they are stored."""
    rows = [(offset, float(created), key, value) for offset, created, key, value in entries]
    return cast(bytes, msgpack.packb({"schema_version": WAITING_VERSION, "rows": rows}))


def unpack_waiting(packed: bytes) -> list[Waiting]:
    """The events that wait for an item from what is stored.

    Raises:
        Unreadable: if it is not that.
        OtherVersion: if it has another version.
    """
    try:
        fields = _fields(packed, WAITING_VERSION, "what waits for an item")
        entries = [Waiting(*row) for row in fields["rows"]]
        if not all(map(_is_waiting, entries)):
            raise TypeError("a value is of another kind")
    except (KeyError, *UNREADABLE) as error:
        raise Unreadable(f"the events that wait for an item cannot be read ({error})") from error
    return entries


def _is_waiting(entry: Waiting) -> bool:
    return (
        type(entry.offset) is int
        and type(entry.created) is float
        and isinstance(entry.key, bytes)
        and isinstance(entry.value, bytes)
    )
