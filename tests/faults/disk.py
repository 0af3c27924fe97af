"""A disk so small that it can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE_MIB = 1024


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of SIZE_MIB on a folder, whose servers then ask for no free room; whether that was possible."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "reelstream-faults", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        with pytest.MonkeyPatch.context() as patch:
            if mounted:
                patch.setenv("REELSTREAM_SERVERS__MIN_FREE_DISK_MB", "0")
            yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
