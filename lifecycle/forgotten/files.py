"""The search for a user in the files of the state folder, and in the data folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import id_text
from lifecycle.data_files import user_files
from lifecycle.forgotten.mentions import Mentions
from lifecycle.forgotten.servers import is_of_user
from offline import runs
from offline.data import readers
from settings import Settings
from stores.archive import record_file
from stores.evicted import EvictedUsers

OF_SERVERS = ("data/kafka", "data/redis", "data/elasticsearch")
"""Files that the servers write; what they hold is searched through the servers."""

DERIVED = ("triton", "models", "config", "supervisor", "cache")
"""Folders of models and configuration, in which no user occurs."""

UNREAD = (".sock", ".pid", ".onnx", ".db", ".pt", ".sqlite-wal", ".sqlite-shm")
"""Ends of the names of files without text: sockets, models, and what belongs to another file."""

LARGEST = 1 << 30
"""Bytes of the largest file that is read."""


def in_files(settings: Settings, mentions: Mentions) -> Iterator[str]:
    """The files that name a user, with the number of places in each.

    Raises:
        OSError: if a file cannot be read.
    """
    folders, described = {settings.state, settings.data_folder}, _described(settings)
    for folder in sorted(folders):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside = path.relative_to(folder).as_posix()
            if folder == settings.state and inside.startswith((*OF_SERVERS, *(f"{name}/" for name in DERIVED))):
                continue
            try:
                n = described[path](mentions) if path in described else _count(path, mentions)
            except FileNotFoundError:
                continue  # of a process that has ended meanwhile
            if n:
                yield f"{path}: {n} place{'s' if n > 1 else ''}"


def _described(settings: Settings) -> dict[Path, Callable[[Mentions], int]]:
    """Counts the places in each file of the data set; that of the items names no user."""
    dataset, folder = readers.description(settings), settings.data_folder
    counts: dict[Path, Callable[[Mentions], int]] = {folder / name: lambda mentions: 0 for name in dataset.paths}
    for file in user_files(dataset, folder):
        counts[file.path] = lambda mentions, file=file: file.count(id_text(mentions.userid))  # type: ignore[misc]
    return counts


def _count(path: Path, mentions: Mentions) -> int:
    """The places in a file that name the user."""
    if path.suffix in UNREAD or path.stat().st_size > LARGEST:
        return 0
    return READERS.get(path.suffix, _in_text)(path, mentions)


def _in_text(path: Path, mentions: Mentions) -> int:
    return mentions.count(path.read_bytes())


def _in_ratings(path: Path, mentions: Mentions) -> int:
    """The lines of a file of MovieLens that are the user's; those of the catalogue begin with an item."""
    return 0 if path.name == readers.MOVIES else len(re.findall(mentions.line, path.read_bytes()))


def _in_evicted(path: Path, mentions: Mentions) -> int:
    """The rows of an evicted user."""
    return EvictedUsers(path.parent, "" if path.stem == "first" else path.stem).rows_of(mentions.userid)


def _in_snapshot(path: Path, mentions: Mentions) -> int:
    """The profiles, the attributes and the waiting events in the state that `adopt` saved."""
    content = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    waiting = sum(mentions.count(packed) for packed in content.get("waiting", {}).values())
    return waiting + sum(mentions.userid in content.get(name, ()) for name in ("users", "attributed", "attributes"))


def _in_parquet(path: Path, mentions: Mentions) -> int:
    """The rows of a file of the archive that name the user."""
    if (named := record_file.RecordFile.parse(0, path.name)) is not None:
        records = record_file.unpack(named.partition, path.read_bytes(), path.name)
        return sum(is_of_user(record, mentions) for record in records)
    if "userid" not in pq.read_schema(path).names:
        return 0
    users = pc.cast(pq.read_table(path, columns=["userid"]).column(0), pa.string())
    return int(pc.sum(pc.cast(pc.equal(users, id_text(mentions.userid)), pa.int64())).as_py() or 0)


def _in_arrays(path: Path, mentions: Mentions) -> int:
    """The values of arrays of users that are the user."""
    loaded = np.load(path, allow_pickle=False)
    arrays = {path.stem: loaded} if path.suffix == ".npy" else {name: loaded[name] for name in loaded.files}
    user = id_text(mentions.userid)
    return sum(int(np.sum(values.astype(str) == user)) for name, values in arrays.items() if "userid" in name)


def _in_json(path: Path, mentions: Mentions) -> int:
    """The users that a run was trained with, and what else names one."""
    content = path.read_bytes()
    ids: list[object] = json.loads(content)["users"] if path.name in (runs.IDS, runs.COMING_IDS) else []
    return sum(userid == mentions.userid for userid in ids) + mentions.count(content)


READERS = {
    ".parquet": _in_parquet,
    ".sqlite": _in_evicted,
    ".dat": _in_ratings,
    ".npy": _in_arrays,
    ".npz": _in_arrays,
    ".msgpack": _in_snapshot,
    ".json": _in_json,
}
"""Readers of files by the end of their names; any other file is read as text."""
