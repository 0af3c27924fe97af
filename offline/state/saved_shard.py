"""The files of a saved state, one for each shard, and their replacement.

`<folder>/shard-<n>.msgpack` is a msgpack map: `users` {userid: [profile, {itemid: [ts, rating]}]} and `counters`
{itemid: counter}, profiles and counters packed as in Redis (`stores.redis.packing`), `dead` {reason: dead letters}, and
`attributed`, the users whose attributes are known: those of other users of the catalogue were erased, and stay unknown.
In the first version there was no `attributed`, and no erasure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import msgpack
from pydantic import BaseModel

from stores.archive import durable

COMING = "coming-"
"""Begins the names of files that take the place of others once the manifest names their hash."""


class ShardContent(TypedDict):
    """The content of a shard's file; see above."""

    users: Mapping[int, tuple[bytes, Mapping[int, tuple[int, int]]]]
    counters: Mapping[int, bytes]
    dead: Mapping[str, int]
    attributed: list[int]


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
    packed: bytes = msgpack.packb(content)
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
            return content
    return None


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
