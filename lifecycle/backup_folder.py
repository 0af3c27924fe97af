"""The folder of backups: files named by their hash, and a manifest for each backup.

    <folder>/files/<sha256>         content, immutable; a later backup shares what has not changed
    <folder>/backups/<name>.json    the manifest of a backup, written last

A backup is complete once its manifest is there. One that was killed leaves files without a manifest, which the next one
uses, or removes where it does not need them. The folder is for its owner alone (mode 0700), and who changes it holds
`<folder>/lock`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ValidationError

from lifecycle.errors import LifecycleError
from settings.locks import locked
from stores.archive import durable

FILES, BACKUPS, LOCK = "files", "backups", "lock"
CHUNK = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


class StoredFile(BaseModel):
    """A file of a backup.

    Attributes:
        sha256: of its content.
        size: bytes.
    """

    sha256: str
    size: int


class BackupManifest(BaseModel):
    """The manifest of a backup.

    Attributes:
        schema_version: of the layout of the backup.
        name: UTC time at which it was made.
        topic: of the events.
        ends: by partition, the offset after the last record in it. The backup is the system at these offsets.
        filed_to: by partition, the offset up to before which every dead letter is in it.
        data_hash: SHA-256 of the data set that the state began with.
        base: the snapshot of the state that the log follows; None where it follows the offline history.
        run, previous: ids of the live run, and of the one that a rollback returns to; None for none.
        max_future_s: the setting `stream.max_future_s`, on which the state depends.
        waiting_events: the setting `catalogue.waiting_events`, likewise; None in a backup from before there was one.
        data: the settings `data.online_events` and `data.train_share`, on which the state depends.
        files: by path.
    """

    schema_version: Literal[1] = 1
    name: str
    topic: str
    ends: list[int]
    filed_to: list[int]
    data_hash: str
    base: str | None
    run: str | None
    previous: str | None
    max_future_s: float
    waiting_events: int | None = None
    data: dict[str, float]
    files: dict[str, StoredFile]


class BackupFolder:
    """Reads and writes the folder of backups.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()
        self.copied = self.bytes_copied = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to change the folder, which is made where missing.

        Raises:
            LifecycleError: if the folder holds other things than backups.
        """
        if not (self.folder / BACKUPS).is_dir():
            there = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
            if set(there) - {FILES, LOCK}:
                raise LifecycleError(f"{self.folder} holds {there[0]} and no backups; name an empty or a new folder")
            durable.make_folder(self.folder)
            self.folder.chmod(0o700)
            durable.make_folder(self.folder / FILES)
            durable.make_folder(self.folder / BACKUPS)
        with locked(self.folder / LOCK):
            durable.remove_leftovers(self.folder / FILES)
            durable.remove_leftovers(self.folder / BACKUPS)
            yield

    def names(self) -> list[str]:
        """Names of the complete backups, oldest first."""
        return sorted(path.stem for path in (self.folder / BACKUPS).glob("[0-9]*.json"))

    def manifest(self, name: str | None = None) -> BackupManifest:
        """Read the manifest of a backup, of the newest where none is named.

        Raises:
            LifecycleError: if there is none, or if it cannot be read or is of another version.
        """
        names = self.names()
        if not names:
            raise LifecycleError(f"{self.folder} holds no complete backup; run `reelstream backup {self.folder}`")
        if name is not None and name not in names:
            raise LifecycleError(f"there is no backup {name} in {self.folder}; there are: {', '.join(names)}")
        path = self._manifest_path(name or names[-1])
        try:
            return BackupManifest.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise LifecycleError(
                f"{path} cannot be read or is of another release ({type(error).__name__}); name another backup with "
                f"--at ({', '.join(names)}), or use the release that wrote it"
            ) from error

    def write_manifest(self, manifest: BackupManifest) -> None:
        """Write the manifest, with which the backup is complete."""
        durable.sync_folder(self.folder / FILES)
        durable.write(self._manifest_path(manifest.name), manifest.model_dump_json(indent=1).encode())

    def put(self, content: bytes) -> StoredFile:
        """Store content, unless it is there."""
        stored = StoredFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        if not self._has(stored):
            durable.write(self._path(stored.sha256), content)
            self._count(stored)
        return stored

    def copy(self, source: Path, sha256: str | None = None) -> StoredFile:
        """Store a file, unless it is there.

        Args:
            source: the file, which does not change.
            sha256: the hash that it must have; None to compute it.

        Raises:
            LifecycleError: if the file is gone, or has another hash.
        """
        try:
            if sha256 is None:
                sha256 = _hash(source)
            stored = StoredFile(sha256=sha256, size=source.stat().st_size)
            if not self._has(stored):
                _copy(source, self._path(sha256), sha256)
                self._count(stored)
        except FileNotFoundError:
            raise LifecycleError(f"{source} was removed during the backup; run `reelstream backup` again") from None
        return stored

    def extract(self, stored: StoredFile, target: Path) -> None:
        """Copy a stored file; `target` is there once it is whole. Raises LifecycleError if it is missing or damaged."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.is_file() and target.stat().st_size == stored.size and _hash(target) == stored.sha256:
            return
        self._require(stored)
        _copy(self._path(stored.sha256), target, stored.sha256)

    def content(self, stored: StoredFile) -> bytes:
        """Content of a stored file; raises LifecycleError if it is missing or damaged."""
        self._require(stored)
        content = self._path(stored.sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != stored.sha256:
            raise _damaged(self._path(stored.sha256))
        return content

    def path(self, stored: StoredFile) -> Path:
        """The path of a stored file."""
        return self.folder / FILES / stored.sha256

    def check(self, manifest: BackupManifest, progress: Callable[[float], None]) -> None:
        """Compare every file of a backup with its hash.

        Raises:
            LifecycleError: if one is missing or damaged; the message names it.
        """
        total, done = max(1, sum(stored.size for stored in manifest.files.values())), 0
        for name, stored in manifest.files.items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise LifecycleError(
                    f"backup {manifest.name} names the file {name}, which `reelstream backup` never does"
                )
            self._require(stored, name)
            if _hash(self._path(stored.sha256)) != stored.sha256:
                raise _damaged(self._path(stored.sha256), name)
            done += stored.size
            progress(done / total)

    def prune(self, keep: int) -> list[str]:
        """Remove all backups but the newest, and then the files that none of those has.

        Args:
            keep: complete backups that stay.

        Returns:
            Names of the backups that were removed.
        """
        names = self.names()
        removed = names[:-keep]
        for name in removed:
            self._manifest_path(name).unlink()
        durable.sync_folder(self.folder / BACKUPS)
        needed = {stored.sha256 for name in names[-keep:] for stored in self.manifest(name).files.values()}
        for path in (self.folder / FILES).iterdir():
            if SHA256.fullmatch(path.name) and path.name not in needed:
                path.unlink()
        return removed

    def _has(self, stored: StoredFile) -> bool:
        path = self._path(stored.sha256)
        return path.is_file() and path.stat().st_size == stored.size

    def _require(self, stored: StoredFile, name: str = "") -> None:
        if not self._has(stored):
            raise _damaged(self._path(stored.sha256), name)

    def _count(self, stored: StoredFile) -> None:
        self.copied += 1
        self.bytes_copied += stored.size

    def _path(self, sha256: str) -> Path:
        return self.folder / FILES / sha256

    def _manifest_path(self, name: str) -> Path:
        return self.folder / BACKUPS / f"{name}.json"


def new_name() -> str:
    """Name of a backup that is made now."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path, sha256: str) -> None:
    """Copy a file that must have a hash; `target` is absent or as it was until it is whole and on the disk."""
    temporary, digest = target.with_name(f"{durable.TEMPORARY}{target.name}"), hashlib.sha256()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as to, source.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            to.write(chunk)
        to.flush()
        os.fsync(to.fileno())
    if digest.hexdigest() != sha256:
        temporary.unlink()
        raise _damaged(source)
    temporary.replace(target)
    durable.sync_folder(target.parent)


def _damaged(path: Path, name: str = "") -> LifecycleError:
    words = f" ({name})" if name else ""
    return LifecycleError(
        f"{path}{words} is missing or does not match its hash; delete it and run `reelstream backup` again where the "
        "system still runs, or restore another backup with --at"
    )
