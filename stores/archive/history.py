"""The offline history in the archive: the events before the log, and the catalogue, in the order of the data set.

    history/events.parquet   userid, itemid, rating, ts (unix seconds): INT64
    history/users.parquet    userid, gender, age, occupation: INT64, as in `features.catalogue`
    history/items.parquet    itemid, title, year, genres (names)

The hash of each file is in the manifest, together with the hash of the data set that they were read from.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features import GENRES, Catalogue, Item, User
from stores.archive import durable
from stores.archive.archive import Archive
from stores.archive.manifest import ErasedTo, HistoryManifest, Manifest
from stores.archive.record_file import VERSION_KEY, damaged
from stores.errors import ArchiveError

HISTORY = "history"
COMING = "history-coming"
"""The folder of a history that takes the place of the one that is there."""

HISTORY_SCHEMA_VERSION = 1
EVENTS, USERS, ITEMS = "events.parquet", "users.parquet", "items.parquet"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OfflineHistory:
    """The events before the log, and the catalogue.

    Attributes:
        userid, itemid, rating, ts: INT64 [events]; `ts` in unix seconds.
        catalogue: items and users by id.
        data_hash: SHA-256 of the data set that they were read from.
        erased, erased_to: as in the manifest.
    """

    userid: Ints
    itemid: Ints
    rating: Ints
    ts: Ints
    catalogue: Catalogue
    data_hash: str
    erased: int = 0
    erased_to: ErasedTo = field(default_factory=dict)


def write_history(archive: Archive, history: OfflineHistory) -> bool:
    """Write the offline history, unless the archive has it; False if it has.

    Raises:
        ArchiveError: if the archive has another one.
    """
    with archive.locked():
        manifest = archive.manifest() or Manifest()
        if manifest.history is not None:
            if manifest.history.data_hash != history.data_hash:
                raise ArchiveError(
                    f"the archive {archive.folder} holds the history of other data; move it elsewhere to "
                    "begin a new one"
                )
            return False
        contents = _pack(history)
        folder = archive.folder / HISTORY
        # Without its entry in the manifest, the folder is what a writer left that was killed.
        if folder.is_dir():
            shutil.rmtree(folder)
        durable.make_folder(archive.folder)
        durable.make_folder(folder)
        for name, content in contents.items():
            durable.write(folder / name, content)
        entry = HistoryManifest(
            data_hash=history.data_hash,
            sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            events=len(history.userid),
            users=len(history.catalogue.users),
            items=len(history.catalogue.items),
            erased=history.erased,
            erased_to=history.erased_to,
        )
        archive.write_manifest(manifest.model_copy(update={"history": entry}))
    return True


def read_history(archive: Archive) -> OfflineHistory | None:
    """Read the offline history, whose hashes are checked; None if the archive has none.

    Raises:
        ArchiveError: if it is damaged, or of another schema version.
    """
    manifest = archive.manifest()
    if manifest is None or manifest.history is None:
        return None
    events, users, items = (_read(archive, manifest.history, name) for name in (EVENTS, USERS, ITEMS))
    userid, itemid, rating, ts = (
        np.ascontiguousarray(events.column(name).to_numpy()) for name in ("userid", "itemid", "rating", "ts")
    )
    catalogue = Catalogue.of(
        (
            Item(row["itemid"], row["title"], row["year"], tuple(map(GENRES.index, row["genres"])))
            for row in items.to_pylist()
        ),
        (User(**row) for row in users.to_pylist()),
    )
    entry = manifest.history
    return OfflineHistory(userid, itemid, rating, ts, catalogue, entry.data_hash, entry.erased, entry.erased_to)


def without_users(archive: Archive, userids: Collection[int], erased_to: ErasedTo) -> int:
    """Write the history again without users who are erased; how many of them it had. Only for who holds the lock.

    The hash of the data set stays, as it says which one the state began with.

    Args:
        archive: the archive.
        userids: the users.
        erased_to: by id of the log's topic and by partition, the offset of the last of their erasures.

    Raises:
        ArchiveError: if it is damaged.
    """
    manifest, history = archive.manifest(), read_history(archive)
    if manifest is None or manifest.history is None or history is None:
        return 0
    known = [userid for userid in userids if userid in history.catalogue.users]
    entry = manifest.history.model_copy(update={"erased_to": _later(manifest.history.erased_to, erased_to)})
    if not known:
        archive.write_manifest(manifest.model_copy(update={"history": entry}))
        return 0
    left = ~np.isin(history.userid, known)
    userid, itemid, rating, ts = (
        values[left] for values in (history.userid, history.itemid, history.rating, history.ts)
    )
    users = {userid: user for userid, user in history.catalogue.users.items() if userid not in {*known}}
    catalogue = Catalogue(history.catalogue.items, users)
    rest = OfflineHistory(userid, itemid, rating, ts, catalogue, history.data_hash)
    contents = _pack(rest)
    entry = entry.model_copy(
        update={
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            "events": len(rest.userid),
            "users": len(users),
            "erased": manifest.history.erased + len(known),
        }
    )
    _replace(archive, manifest.model_copy(update={"history": entry}), contents)
    return len(known)


def _later(known: ErasedTo, erased_to: ErasedTo) -> ErasedTo:
    """Positions, of which none is earlier than the one that is known."""
    later = {topic: {**of_log} for topic, of_log in known.items()}
    for topic, of_log in erased_to.items():
        before = later.setdefault(topic, {})
        before.update({partition: max(offset, before.get(partition, -1)) for partition, offset in of_log.items()})
    return later


def _replace(archive: Archive, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write the files of a history next to those that are there, and put them in their place with their manifest.

    A process that is killed before the manifest is renamed leaves the former history; after it, the new one, whose
    files may be in the other folder still.
    """
    coming = archive.folder / COMING
    if coming.is_dir():
        shutil.rmtree(coming)
    durable.make_folder(coming)
    for name, content in contents.items():
        durable.write(coming / name, content)
    archive.write_manifest(manifest)
    settle(archive)


def settle(archive: Archive) -> None:
    """Complete a replacement of the history that was cut off; only for who holds the lock."""
    manifest, coming = archive.manifest(), archive.folder / COMING
    if not coming.is_dir():
        return
    if manifest is not None and manifest.history is not None:
        for path in sorted(coming.iterdir()):
            if hashlib.sha256(path.read_bytes()).hexdigest() == manifest.history.sha256.get(path.name):
                path.replace(archive.folder / HISTORY / path.name)
        durable.sync_folder(archive.folder / HISTORY)
    shutil.rmtree(coming)


def _pack(history: OfflineHistory) -> dict[str, bytes]:
    catalogue = history.catalogue
    users = list(catalogue.users.values())
    items = list(catalogue.items.values())
    events = {name: pa.array(getattr(history, name), pa.int64()) for name in ("userid", "itemid", "rating", "ts")}
    return {
        EVENTS: _packed(events),
        USERS: _packed(
            {
                name: pa.array([getattr(user, name) for user in users], pa.int64())
                for name in ("userid", "gender", "age", "occupation")
            }
        ),
        ITEMS: _packed(
            {
                "itemid": pa.array([item.itemid for item in items], pa.int64()),
                "title": pa.array([item.title for item in items], pa.string()),
                "year": pa.array([item.year for item in items], pa.int64()),
                "genres": pa.array([[GENRES[genre] for genre in item.genres] for item in items], pa.list_(pa.string())),
            }
        ),
    }


def _packed(columns: Mapping[str, Any]) -> bytes:
    table = pa.table(columns).replace_schema_metadata({VERSION_KEY: str(HISTORY_SCHEMA_VERSION).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _read(archive: Archive, manifest: HistoryManifest, name: str) -> Any:
    path = archive.folder / HISTORY / name
    coming = archive.folder / COMING / name
    try:
        content = path.read_bytes()
        if coming.is_file() and hashlib.sha256(content).hexdigest() != manifest.sha256.get(name):
            content = coming.read_bytes()
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256.get(name):
        raise damaged(path, "does not match the hash in the manifest")
    table = pq.read_table(pa.BufferReader(content))
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"").decode(errors="replace")
    if version != str(HISTORY_SCHEMA_VERSION):
        raise ArchiveError(
            f"{path} has the schema version {version or 'none'}, this release reads {HISTORY_SCHEMA_VERSION}; use the "
            "release that wrote it"
        )
    return table
