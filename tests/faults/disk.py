"""A disk so small that it can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_MIB = 1024

NO_FREE_ROOM = {"REELSTREAM_SERVERS__MIN_FREE_DISK_MB": "0"}
"""Has servers start on such a disk."""


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of SIZE_MIB on a folder; whether that was possible."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "reelstream-faults", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
