"""The files of a saved state, one for each shard, and their replacement.

`<folder>/shard-<n>.msgpack` is a msgpack map, with everything that it holds of the shard packed as in Redis
(`stores.redis.packing`):

    users       {userid: [profile, {itemid: [ts, code, ts, code, ...]}]}
    counters    {itemid: counter}
    dead        {reason: dead letters}
    attributes  {userid: attributes} of the users of whom some are known; the other users of the catalogue were erased
    layer       {itemid: changes} of the items that were changed
    waiting     {itemid: events} that wait for the item

The second version had no changes, and `attributed`, a list of users, in place of `attributes`; the first one had
neither, and no erasure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypedDict

import msgpack
from pydantic import BaseModel

from features import Id, Seen
from stores.archive import durable

COMING = "coming-"
"""Begins the names of files that take the place of others once the manifest names their hash."""


class ShardContent(TypedDict):
    """The content of a shard's file; see above."""

    users: Mapping[Id, tuple[bytes, Mapping[Id, Seen]]]
    counters: Mapping[Id, bytes]
    dead: Mapping[str, int]
    attributes: Mapping[Id, bytes]
    layer: Mapping[Id, bytes]
    waiting: Mapping[Id, bytes]


class ShardFile(BaseModel):
    """A shard in a snapshot.

    Attributes:
        sha256: of its file.
        users, items: that it holds.
        next_offset: offset of the log's first record that is not folded into it.
    """

    sha256: str
    users: int
    items: int
    next_offset: int


def write(folder: Path, shard: int, content: ShardContent, next_offset: int, beginning: str = "") -> ShardFile:
    """Write the file of a shard.

    Args:
        folder: of the saved state.
        shard: the shard.
        content: of the file.
        next_offset: offset of the log's first record that is not folded into it.
        beginning: of its name, COMING where it is to take the place of another.
    """
    flat = {
        userid: (profile, {itemid: tuple(chain.from_iterable(known)) for itemid, known in seen.items()})
        for userid, (profile, seen) in content["users"].items()
    }
    packed: bytes = msgpack.packb({**content, "users": flat})
    durable.write(path_of(folder, shard, beginning), packed)
    sha256 = hashlib.sha256(packed).hexdigest()
    users, items = len(content["users"]), len(content["counters"])
    return ShardFile(sha256=sha256, users=users, items=items, next_offset=next_offset)


def read(folder: Path, shard: int, file: ShardFile) -> dict[str, Any] | None:
    """The content of a shard's file; None where no file is that of the manifest."""
    for path in (path_of(folder, shard), path_of(folder, shard, COMING)):
        packed = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(packed).hexdigest() == file.sha256:
            content: dict[str, Any] = msgpack.unpackb(packed, strict_map_key=False)
            for of_user in content["users"].values():
                of_user[1] = {itemid: _seen(flat) for itemid, flat in of_user[1].items()}
            return content
    return None


def _seen(flat: Sequence[int]) -> Seen:
    """The latest events of a user with an item."""
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def settle(folder: Path, files: Sequence[ShardFile]) -> None:
    """Put files in their place that are those of the manifest, and delete others that were to take it."""
    for shard, file in enumerate(files):
        coming = path_of(folder, shard, COMING)
        if not coming.is_file():
            continue
        if hashlib.sha256(coming.read_bytes()).hexdigest() == file.sha256:
            coming.replace(path_of(folder, shard))
        else:
            coming.unlink()
    durable.sync_folder(folder)


def path_of(folder: Path, shard: int, beginning: str = "") -> Path:
    """The path of a shard's file."""
    return folder / f"{beginning}shard-{shard}.msgpack"
