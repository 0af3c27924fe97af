"""An empty system, made as it was at a backup.

The restored log is empty and continues at the offsets of the backup (`stores.kafka.new_log`); its records are in the
archive, as they were appended. So positions keep their meaning, and `publish` folds the state from archive and log, as
on any system without a state. The order of the steps:

    1. every file of the backup is compared with its hash, and the system must be empty; then the workers and the
       archiver are stopped;
    2. a note in the state folder says which backup is being restored;
    3. the files are copied;
    4. the log is made, and the archive and the snapshot that it follows, if there is one, are said to belong to it;
       dead letters and findings of drift are written; then the note says which log that is;
    5. the previous run and the live run are published, the first of which writes the state;
    6. the workers and the archiver are started again, and the note is removed.

A restore that was killed is run again: it begins again before step 4 is done, and continues behind that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ValidationError

import datasets
from features import Schema
from lifecycle.backup import ARCHIVE, DESCRIPTION, DRIFT, LETTERS, RUNS, SNAPSHOTS, SPLIT, Progress
from lifecycle.backup_folder import BackupFolder, BackupManifest
from lifecycle.dead_letters import file_missing, write_letters
from lifecycle.errors import LifecycleError
from offline.data import readers
from offline.errors import RunError
from offline.state import state_snapshot
from offline.state.lock import lock
from settings import Settings
from stores import DriftStore, StateStores, delete_topics, ensure_topics
from stores.archive import durable
from stores.archive.archive import Archive
from stores.archive.history import HISTORY
from stores.archive.history_files import SCHEMA
from stores.archive.manifest import Manifest
from stores.kafka.log import end_of
from stores.kafka.log_check import LogBounds, LogIdentity
from stores.kafka.log_probe import LogProbe
from stores.kafka.new_log import begin_at
from stores.kafka.topics import GROUP, group_members
from stores.redis.drift_record import write_record

LEFT_WITHIN_S = 30.0
"""Seconds that Kafka gets to notice that the workers have left: more than the session of one that was killed."""

Publish = Callable[[str], None]
"""Puts a run live; the first time, that writes the state that follows from archive and log."""


@dataclass(frozen=True)
class Restored:
    """The result of a restore.

    Attributes:
        backup: name of the backup.
        ends: by partition, the offset at which the log continues.
        run: the live run; None if none was.
        previous: the run that a rollback returns to; None for none.
        letters: dead letters written.
        seconds: that it took.
    """

    backup: str
    ends: list[int]
    run: str | None
    previous: str | None
    letters: int
    seconds: float


class Note(BaseModel):
    """The note of a restore that has begun.

    Attributes:
        schema_version: of the note.
        backup: name of the backup.
        cluster, topic: ids of the log that was made for it; None before it is complete.
        letters: dead letters written.
    """

    schema_version: Literal[1] = 1
    backup: str
    cluster: str | None = None
    topic: str | None = None
    letters: int = 0


def restore(
    settings: Settings,
    folder: Path,
    *,
    at: str | None = None,
    stop_workers: Callable[[], None],
    start_workers: Callable[[], None],
    publish: Publish,
    progress: Progress,
) -> Restored:
    """Make an empty system as it was at a backup.

    Args:
        settings: all settings.
        folder: the folder of the backups.
        at: name of the backup; None for the newest.
        stop_workers: stops the workers and the archivers of this machine, which must not run meanwhile; called once it
            is certain that the backup can be restored here.
        start_workers: starts what was stopped; called when everything is restored, and not after an error.
        publish: publishes a run.
        progress: told of each step.

    Raises:
        LifecycleError: if the system is not empty, a setting differs on which the state depends, or the backup is
            incomplete or damaged.
        LogError: if something else appends to the log meanwhile.
        Unreachable: if a store does not answer.
    """
    began, source = time.monotonic(), BackupFolder(folder)
    manifest = source.manifest(at)
    _require_settings(settings, manifest)
    source.check(manifest, lambda share: progress("comparing files with their hashes", share))
    _require_description(settings, source, manifest)
    with lock(settings, "restore", progress):
        note = _Restore(settings, source, manifest, stop_workers, progress)()
    rollback_to = _publish_previous(manifest, publish)
    if manifest.run is not None:
        publish(manifest.run)
    _require_state(settings, manifest)
    start_workers()  # before the note goes: where that is interrupted, the command can be run again
    settings.restore_note.unlink()
    seconds = round(time.monotonic() - began, 1)
    return Restored(manifest.name, manifest.ends, manifest.run, rollback_to, note.letters, seconds)


def _publish_previous(manifest: BackupManifest, publish: Publish) -> str | None:
    """Publish the previous run, so that it can be returned to; None where that cannot be, as of another release."""
    if manifest.previous is None or manifest.run is None:
        return None
    try:
        publish(manifest.previous)
    except RunError:
        return None
    return manifest.previous


class _Restore:
    """All of a restore but the publishing, under the lock."""

    def __init__(
        self,
        settings: Settings,
        source: BackupFolder,
        manifest: BackupManifest,
        stop_workers: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._settings, self._source, self._manifest = settings, source, manifest
        self._stop_workers, self._progress = stop_workers, progress
        state = StateStores.live(settings)
        self._published, self._client = state.published, state.profiles.client
        self._archive = Archive(settings.archive_folder)

    def __call__(self) -> Note:
        """Restore, as far as that is not done; the note."""
        settings, note = self._settings, _read_note(self._settings)
        if note is not None and note.backup != self._manifest.name:
            raise LifecycleError(
                f"a restore of backup {note.backup} was interrupted; run `reelstream restore` with --at {note.backup}, "
                "or begin again with an empty state folder"
            )
        with closing(LogProbe(settings.kafka, settings.log_heads)) as probe:
            if note is not None and note.topic is not None:
                _require_log(probe.bounds(), note)
                self._stop_workers()
                return note
            self._require_empty(probe, begun=note is not None)
            self._stop_workers()
            if running := group_members(settings.kafka, GROUP, LEFT_WITHIN_S):
                raise LifecycleError(f"{running} stream workers are running; stop them and run the command again")
            _write_note(settings, Note(backup=self._manifest.name))
            self._copy_files()
            if note is not None:
                delete_topics(settings.kafka)
            ensure_topics(settings.kafka)
            ends = dict(enumerate(self._manifest.ends))
            bounds = begin_at(settings.kafka, probe, ends, lambda share: self._progress("making the log", share))
        note = self._write(bounds[0].log)
        _write_note(settings, note)
        return note

    def _require_empty(self, probe: LogProbe, begun: bool) -> None:
        """Refuse a system that holds anything, but for what this restore has written."""
        published = self._published
        found = None
        if published.snapshot() is not None or published.snapshot_begun() is not None or published.run() is not None:
            found = "there is a state in Redis"
        elif not begun and any(bounds.high for bounds in probe.bounds().values()):
            found = f"topic {self._settings.kafka.topic} has had records"
        elif not begun and self._archive.manifest() is not None:
            found = f"there is an archive in {self._archive.folder}"
        if found is not None:
            raise LifecycleError(
                f"this system is not empty: {found}; restore into an empty state folder, after `reelstream up`"
            )
        settings, folder = self._settings, self._settings.data_folder
        if readers.has_files(settings) and readers.data_hash(readers.load(settings)) != self._manifest.data_hash:
            raise LifecycleError(
                f"the state of the backup was built from other data than {folder} holds; set REELSTREAM_DATA__FOLDER, "
                "or ML1M_DIR for MovieLens-1M, to that data, or to an empty folder: the backup holds the events"
            )

    def _copy_files(self) -> None:
        """Copy files to their places; that an archive is there is said later, when the log is."""
        roots = {ARCHIVE: self._archive.folder, RUNS: self._settings.runs, SNAPSHOTS: self._settings.state / SNAPSHOTS}
        files = [
            (roots[path.parts[0]].joinpath(*path.parts[1:]), stored)
            for name, stored in self._manifest.files.items()
            if (path := PurePosixPath(name)).parts[0] in roots and name != MANIFEST_PATH
        ]
        for number, (target, stored) in enumerate(files):
            self._progress("copying files", number / len(files))
            self._source.extract(stored, target)

    def _write(self, log: LogIdentity) -> Note:
        """Write what belongs to the log; the note with which it is complete."""
        settings, manifest, files = self._settings, self._manifest, self._manifest.files
        self._progress("writing dead letters and drift", 0.0)
        packed = self._source.content(files[MANIFEST_PATH])
        with self._archive.locked():
            archived = Manifest.model_validate_json(packed)
            self._archive.write_manifest(archived.of_log(log, len(manifest.ends)) if archived.log else archived)
        if manifest.base is not None:
            state_snapshot.set_log(settings, manifest.base, log)
        ratings = readers.load(settings)
        known = write_letters(settings, self._source.content(files[LETTERS]))
        filed = file_missing(settings, self._archive, ratings, manifest.filed_to, known)
        write_record(self._client, self._source.content(files[DRIFT]))
        DriftStore(self._client).start_over(end_of(settings.kafka, settings.kafka.features_topic) - 1)
        return Note(backup=manifest.name, cluster=log.cluster, topic=log.topic, letters=len(known) + filed)


MANIFEST_PATH = f"{ARCHIVE}/manifest.json"
SCHEMA_PATH = f"{ARCHIVE}/{HISTORY}/{SCHEMA}"


def _require_settings(settings: Settings, manifest: BackupManifest) -> None:
    """Refuse settings with which another state would follow from the same history and log."""
    split = {f"data.{name}": getattr(settings.data, name) for name in SPLIT}
    ours = {"kafka.partitions": settings.kafka.partitions, "stream.max_future_s": settings.stream.max_future_s, **split}
    waiting = "catalogue.waiting_events"
    ours[waiting] = settings.catalogue.waiting_events
    theirs = {
        "kafka.partitions": len(manifest.ends),
        "stream.max_future_s": manifest.max_future_s,
        waiting: ours[waiting] if manifest.waiting_events is None else manifest.waiting_events,
        **{f"data.{name}": value for name, value in manifest.data.items()},
    }
    for name, value in theirs.items():
        if ours.get(name) != value:
            raise LifecycleError(
                f"setting {name} is {ours.get(name)}, but was {value} at the backup; correct the setting, or the state "
                "would be another one"
            )


def _require_description(settings: Settings, source: BackupFolder, manifest: BackupManifest) -> None:
    """Refuse a data set other than that of the backup, or another description of it."""
    stored = manifest.files.get(SCHEMA_PATH)
    if stored is None:
        return  # an earlier release, which had no schema
    theirs, ours = Schema.from_json(source.content(stored)).dataset, datasets.read(settings.dataset)
    if ours != theirs:
        copied = manifest.files.get(DESCRIPTION)
        which = "its description" if copied is None else f"its description, a copy of {source.path(copied)}"
        raise LifecycleError(
            f"the backup is of the data set {theirs.name}, but data.dataset names {ours.name}, or another description "
            f"of it; set data.dataset to {which}"
        )


def _require_log(bounds: dict[int, LogBounds], note: Note) -> None:
    """Require that the log is the one that this restore has made."""
    if bounds[0].log != LogIdentity(note.cluster or "", note.topic or ""):
        raise LifecycleError(
            f"the log that was made for backup {note.backup} was replaced; begin again with an empty state folder"
        )


def _require_state(settings: Settings, manifest: BackupManifest) -> None:
    """Require that the state that was written holds everything up to the offsets of the backup."""
    if manifest.run is None:
        return
    profiles = StateStores.live(settings).profiles
    for shard, (offset, end) in enumerate(zip(profiles.applied(), manifest.ends, strict=True)):
        if offset is None or offset < end - 1:
            raise LifecycleError(
                f"partition {shard}: the restored state was folded up to offset {offset} instead of {end - 1}; run "
                "`reelstream restore` again with an empty state folder"
            )


def _read_note(settings: Settings) -> Note | None:
    try:
        return Note.model_validate_json(settings.restore_note.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise LifecycleError(
            f"{settings.restore_note} cannot be read ({type(error).__name__}); begin again with an empty state folder"
        ) from error


def _write_note(settings: Settings, note: Note) -> None:
    durable.write(settings.restore_note, note.model_dump_json().encode())
