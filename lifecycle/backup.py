"""Everything that a system is restored from, copied into a folder while the system serves.

The state is a function of the offline history and the log, so these are copied, and not the state: it is the same at
the offsets of the backup, whatever is folded meanwhile. The order of the steps:

    1. the log is checked to be the state's own;
    2. the archive is written up to the end of the log, which are the offsets of the backup;
    3. the stream gets some seconds to fold up to there, so that all dead letters are filed;
    4. files are copied: archive, snapshot of the state, runs; then dead letters and findings of drift;
    5. if log and state are still the same ones, the manifest is written, and older backups are removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import datasets
from lifecycle.backup_folder import BackupFolder, BackupManifest, StoredFile, new_name
from lifecycle.dead_letters import read_letters
from lifecycle.errors import LifecycleError
from offline import runs
from offline.data import readers
from offline.state import state_snapshot
from offline.state.archived_history import archive_history
from offline.state.own_log import require_own_log
from settings import Settings
from settings.toml import as_toml
from stores import Generations, NotPublished, OtherVersion, Snapshot, StateStores
from stores.archive.archive import Archive
from stores.archive.history import HISTORY, history_schema, settle
from stores.archive.manifest import Manifest
from stores.redis.drift_record import read_record
from stream.archive.archiver import Archiver

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

LETTERS, DRIFT = "dead-letters.parquet", "drift-findings.json"
SETTINGS, DESCRIPTION = "reelstream.toml", "dataset.toml"
"""Paths in a backup."""

ARCHIVE, RUNS, SNAPSHOTS = "archive", "runs", "snapshots"
"""Folders in a backup."""

SPLIT = ("online_events", "train_share")
"""Settings of `data` that say which ratings are the offline history."""

FOLD_WITHIN_S = 10.0
"""Seconds that the stream gets to fold up to the offsets of the backup. Behind it, a restore files the dead letters."""


@dataclass(frozen=True)
class BackedUp:
    """The result of a backup.

    Attributes:
        name: of the backup.
        folder: the folder of the backups.
        ends: by partition, the offset after the last record in it.
        files, bytes: in it.
        files_copied, bytes_copied: that no earlier backup in the folder has.
        removed: older backups that were removed.
        seconds: that it took.
    """

    name: str
    folder: str
    ends: list[int]
    files: int
    bytes: int
    files_copied: int
    bytes_copied: int
    removed: list[str]
    seconds: float


def backup(settings: Settings, folder: Path, *, keep: int, progress: Progress) -> BackedUp:
    """Make a backup; what an earlier one in the folder has is not copied again.

    Args:
        settings: all settings.
        folder: the folder of the backups, made where missing.
        keep: complete backups that stay, with this one.
        progress: told of each step.

    Raises:
        ArchiveError: if the archive is damaged or that of another log, or the log lacks events that it does not hold.
        DataError: if a snapshot of the state is damaged, or the data folder holds other data than the state.
        LifecycleError: if the folder holds other things, or a file was damaged, removed or replaced meanwhile.
        LogError: if the log is not the state's own, or a partition is stopped.
        NotPublished: if there is no state yet.
        Unreachable: if a store does not answer.
    """
    began, target = time.monotonic(), BackupFolder(folder)
    if target.folder.is_relative_to(settings.state):
        raise LifecycleError(f"{target.folder} is in the state folder, and would be lost with it; name another folder")
    with target.writing():
        manifest = _Backup(settings, target, progress)()
        target.write_manifest(manifest)
        progress("removing older backups", 1.0)
        removed = target.prune(keep)
    return BackedUp(
        name=manifest.name,
        folder=str(target.folder),
        ends=manifest.ends,
        files=len(manifest.files),
        bytes=sum(stored.size for stored in manifest.files.values()),
        files_copied=target.copied,
        bytes_copied=target.bytes_copied,
        removed=removed,
        seconds=round(time.monotonic() - began, 1),
    )


def copy_archive(
    archive: Archive,
    target: BackupFolder,
    ends: Sequence[int],
    meanwhile: Callable[[], dict[str, StoredFile]] = dict,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, StoredFile]:
    """Copy the archive; a rewriting of the history that was cut off is completed before.

    Args:
        archive: the archive.
        target: the folder of the backups.
        ends: by partition, the offset up to before which records are copied.
        meanwhile: copies what else must be of the same moment.
        progress: told the share of the records that is copied.

    Returns:
        The stored files, by their paths in the backup.

    Raises:
        ArchiveError: if a file of records is missing between two others.
        LifecycleError: if there is no history, or a file is damaged or was replaced meanwhile.
    """
    # Under the lock of `reelstream erase`: with a user in the history go the records that have the user's erasure.
    with archive.locked():
        settle(archive)
        manifest = archive.manifest()
        if manifest is None or manifest.history is None:
            raise LifecycleError("the archive was deleted during the backup; run `reelstream backup` again")
        files = {
            f"{ARCHIVE}/{HISTORY}/{name}": target.copy(archive.folder / HISTORY / name, sha256)
            for name, sha256 in manifest.history.sha256.items()
        }
        files |= meanwhile()
        of_records = [
            file for partition, end in enumerate(ends) for file in archive.files(partition) if file.end <= end
        ]
    files[f"{ARCHIVE}/manifest.json"] = target.put(manifest.model_dump_json(indent=1).encode())
    for number, file in enumerate(of_records):
        progress(number / len(of_records))
        files[f"{ARCHIVE}/shard={file.partition}/{file.name}"] = target.copy(archive.path(file), file.sha256)
    return files


class _Backup:
    """One backup, under the lock of its folder."""

    def __init__(self, settings: Settings, target: BackupFolder, progress: Progress) -> None:
        self._settings, self._target, self._progress = settings, target, progress
        state = StateStores.live(settings)
        self._published, self._profiles, self._client = state.published, state.profiles, state.profiles.client
        self._archive = Archive(settings.archive_folder)
        self._epochs = Generations(self._client).live().epochs
        self._files: dict[str, StoredFile] = {}

    def __call__(self) -> BackupManifest:
        """Copy everything, and describe it."""
        settings = self._settings
        self._progress("comparing the log with the state", 0.0)
        snapshot = self._require_state()
        self._archive_log(snapshot)
        ends = self._ends(snapshot)
        filed_to = self._wait(ends)
        self._files |= copy_archive(
            self._archive,
            self._target,
            ends,
            lambda: self._copied_base(snapshot),
            lambda share: self._progress("copying the archive", share),
        )
        run, previous = self._copy_runs()
        self._progress("copying dead letters and drift", 0.9)
        self._files[LETTERS] = self._target.put(read_letters(settings, ends))
        self._files[DRIFT] = self._target.put(read_record(self._client))
        self._files[SETTINGS] = self._target.put(as_toml(settings).encode())
        self._files |= self._copied_description()
        # More partitions are another epoch of the log, of which the backup would have a part.
        if self._published.snapshot() != snapshot or Generations(self._client).live().epochs != self._epochs:
            raise LifecycleError("the state was replaced during the backup; run `reelstream backup` again")
        return BackupManifest(
            name=new_name(),
            topic=settings.kafka.topic,
            ends=ends,
            filed_to=filed_to,
            data_hash=snapshot.data_hash,
            base=snapshot.base,
            run=run,
            previous=previous,
            max_future_s=settings.stream.max_future_s,
            waiting_events=settings.catalogue.waiting_events,
            data=settings.data.model_dump(include=set(SPLIT)),
            files=self._files,
        )

    def _require_state(self) -> Snapshot:
        """The snapshot that the state began with, where the state is whole and follows from the log."""
        if self._published.resetting() is not None:
            raise NotPublished("the live state is partly deleted; run the command that was interrupted again")
        snapshot = self._published.snapshot()
        if snapshot is None:
            raise NotPublished("there is nothing to back up yet; run `reelstream publish`")
        self._published.require_state_version()
        require_own_log(self._settings, self._profiles, snapshot.base)
        return snapshot

    def _archive_log(self, snapshot: Snapshot) -> None:
        """Have the offline history in the archive, and the log up to its end."""
        manifest, schema = self._archive.manifest() or Manifest(), self._published.schema()
        same_data = manifest.history is not None and manifest.history.data_hash == snapshot.data_hash
        if not same_data or history_schema(self._archive) != schema:
            ratings = readers.load(self._settings)
            data_hash = readers.data_hash(ratings)
            if data_hash != snapshot.data_hash:
                raise LifecycleError(
                    f"the state was built from other data than {self._settings.data_folder} holds; set "
                    "REELSTREAM_DATA__FOLDER, or ML1M_DIR for MovieLens-1M, to the folder with that data"
                )
            if ratings.schema != schema:
                raise LifecycleError(
                    "the state was built with another description of the data set than the settings name; set "
                    "data.dataset to that description, or run `reelstream rebuild` first"
                )
            archive_history(self._settings, ratings, data_hash)
        with closing(Archiver(self._settings)) as archiver:
            archiver.write(
                everything=True,
                progress=lambda done, total: self._progress("archiving the log", done / max(done, total)),
            )

    def _ends(self, snapshot: Snapshot) -> list[int]:
        """By partition, the offset at which the archive ends; it must hold all that the state follows from."""
        begins = state_snapshot.next_offsets(self._settings, snapshot.base, self._profiles.partitions)
        covered = {partition: self._archive.bounds(partition) for partition in begins}
        ends = []
        for partition, begin in begins.items():
            bounds = covered[partition] or (begin, begin)
            if bounds[0] > begin:
                raise LifecycleError(
                    f"partition {partition}: the archive begins at offset {bounds[0]}, but the state is folded from "
                    f"offset {begin}; move the archive {self._archive.folder} elsewhere and run `reelstream backup` "
                    "again, which archives the log from its beginning"
                )
            ends.append(bounds[1])
        return ends

    def _wait(self, ends: list[int]) -> list[int]:
        """Wait until the stream has folded up to these offsets; by partition, where it is."""
        until = time.monotonic() + FOLD_WITHIN_S
        while True:
            applied = [-1 if offset is None else offset for offset in self._profiles.applied()]
            folded_to = [min(offset + 1, end) for offset, end in zip(applied, ends, strict=True)]
            if folded_to == ends or time.monotonic() > until:
                return folded_to
            self._progress("waiting for the stream", 0.0)
            time.sleep(0.2)

    def _copy_runs(self) -> tuple[str | None, str | None]:
        """Copy the live run and the one that a rollback returns to, where their folders are there; their ids."""
        self._progress("copying the runs", 0.8)
        live = self._published.run()
        try:
            before = self._published.previous_run()
        except OtherVersion:
            before = None  # nothing of this release can go back to it
        if live is not None:
            self._files |= self._copied(runs.folder(self._settings, live.run), f"{RUNS}/{live.run}")
        previous = before.run if before is not None and before.run in runs.names(self._settings) else None
        if previous is not None:
            self._files |= self._copied(self._settings.runs / previous, f"{RUNS}/{previous}")
        return live.run if live else None, previous

    def _copied_description(self) -> dict[str, StoredFile]:
        """Copy the description of the data set, where the state was built with it."""
        name = self._settings.dataset
        if datasets.read(name) != self._published.schema().dataset:
            return {}
        return {DESCRIPTION: self._target.put(datasets.path_of(name).read_bytes())}

    def _copied_base(self, snapshot: Snapshot) -> dict[str, StoredFile]:
        """Copy the saved state that the live one began with, if there is one."""
        base = snapshot.base
        return {} if base is None else self._copied(self._settings.state / SNAPSHOTS / base, f"{SNAPSHOTS}/{base}")

    def _copied(self, folder: Path, name: str) -> dict[str, StoredFile]:
        """Copy a folder; the stored files by their paths in the backup."""
        files = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files[f"{name}/{path.relative_to(folder)}"] = self._target.copy(path)
        return files
