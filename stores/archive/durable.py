"""Files that are either there, whole and on the disk, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".new-"
"""Begins the names of files that are being written; one that is left over is worthless."""


def write(path: Path, content: bytes) -> None:
    """Write a file that survives a loss of power once this returns; before that, `path` is absent or as it was."""
    for _ in write_steps(path, content):
        pass


def write_steps(path: Path, content: bytes) -> Iterator[str]:
    """The steps of `write`, each done when its name is given; abandoned after any of them, it leaves no half file."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield "created"
        file.write(content[: len(content) // 2])
        file.flush()
        yield "half written"
        file.write(content[len(content) // 2 :])
        file.flush()
        yield "written"
        os.fsync(file.fileno())
    yield "synced"
    temporary.replace(path)
    yield "renamed"
    sync_folder(path.parent)
    yield "folder synced"


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone, with its parents, and have its name survive a loss of power."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what a writer left that was killed; only for who holds the lock."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)
