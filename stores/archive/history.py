"""The offline history in the archive: the events before the log, and the catalogue, in the order of the data set.

Its files are described in `stores.archive.history_files`. The hash of each is in the manifest, together with the hash
of the data set that they were read from.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from features.ids import Id
from features.schema import Schema
from stores.archive import durable, history_files
from stores.archive.archive import Archive
from stores.archive.history_files import EVENTS, ITEMS, SCHEMA, USERS, OfflineHistory
from stores.archive.manifest import ErasedTo, HistoryManifest, Manifest
from stores.archive.record_file import damaged
from stores.errors import ArchiveError

HISTORY = "history"
COMING = "history-coming"
"""The folder of a history that takes the place of the one that is there."""


def write_history(archive: Archive, history: OfflineHistory) -> bool:
    """Write the offline history, unless the archive has it; False if it has.

    One that another description of the data set has read is replaced.

    Raises:
        ArchiveError: if the archive has one of other data, or one that is damaged.
    """
    with archive.locked():
        manifest = archive.manifest() or Manifest()
        if manifest.history is not None and manifest.history.data_hash != history.data_hash:
            raise ArchiveError(
                f"the archive {archive.folder} holds the history of other data; move it elsewhere to begin a new one"
            )
        if manifest.history is not None and _schema(archive, manifest.history) == history.schema:
            return False
        contents = history_files.pack(history)
        entry = HistoryManifest(
            data_hash=history.data_hash,
            sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            events=len(history.userid),
            users=len(history.catalogue.users),
            items=len(history.catalogue.items),
            erased=history.erased,
            erased_to=history.erased_to,
        )
        if manifest.history is not None:
            _replace(archive, manifest.model_copy(update={"history": entry}), contents)
            return True
        folder = archive.folder / HISTORY
        # Without its entry in the manifest, the folder is what a writer left that was killed.
        if folder.is_dir():
            shutil.rmtree(folder)
        durable.make_folder(archive.folder)
        durable.make_folder(folder)
        for name, content in contents.items():
            durable.write(folder / name, content)
        archive.write_manifest(manifest.model_copy(update={"history": entry}))
    return True


def history_schema(archive: Archive) -> Schema | None:
    """The schema by which the offline history was read; None if the archive has none.

    Raises:
        ArchiveError: if it is damaged, or of another version.
    """
    manifest = archive.manifest()
    return None if manifest is None or manifest.history is None else _schema(archive, manifest.history)


def read_history(archive: Archive) -> OfflineHistory | None:
    """Read the offline history, whose hashes are checked; None if the archive has none.

    Raises:
        ArchiveError: if it is damaged, or of another schema version.
    """
    manifest = archive.manifest()
    if manifest is None or manifest.history is None:
        return None
    entry = manifest.history
    # The first version of a history had no schema.
    names = [name for name in (SCHEMA, EVENTS, USERS, ITEMS) if name != SCHEMA or name in entry.sha256]
    contents = {name: _read(archive, entry, name) for name in names}
    return history_files.unpack(contents, entry.data_hash, entry.erased, entry.erased_to)


def without_users(archive: Archive, userids: Collection[Id], erased_to: ErasedTo) -> int:
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
    gone = {*known}
    left = np.array([userid not in gone for userid in history.userid.tolist()], dtype=bool)
    users = {userid: user for userid, user in history.catalogue.users.items() if userid not in gone}
    rest = replace(
        history,
        userid=history.userid[left],
        itemid=history.itemid[left],
        code=history.code[left],
        ts=history.ts[left],
        value=None if history.value is None else history.value[left],
        catalogue=replace(history.catalogue, users=users),
    )
    contents = history_files.pack(rest)
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


def _schema(archive: Archive, manifest: HistoryManifest) -> Schema:
    """The schema of a history; raises ArchiveError."""
    return history_files.schema_of(_read(archive, manifest, SCHEMA) if SCHEMA in manifest.sha256 else None)


def _read(archive: Archive, manifest: HistoryManifest, name: str) -> bytes:
    """The content of a file of a history, whose hash is checked; raises ArchiveError."""
    path, why = archive.folder / HISTORY / name, "does not match the hash in the manifest"
    for place in (path, archive.folder / COMING / name):
        try:
            content = place.read_bytes()
        except OSError as error:
            if place == path:
                why = f"cannot be read ({error.strerror})"
            continue
        if hashlib.sha256(content).hexdigest() == manifest.sha256.get(name):
            return content
    raise damaged(path, why)
