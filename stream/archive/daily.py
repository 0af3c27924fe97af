"""The erasure that the archiver has done once a day."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

log = logging.getLogger("reelstream.archive")

ERASURE = (sys.executable, "-m", "lifecycle.erasure")
"""Its program, a process of its own: the archiver goes on meanwhile, and has its memory back afterwards."""

DAY_S = 86400.0

AGAIN_S = 3600.0
"""Seconds after one that failed until the next."""

STOP_S = 10.0
"""Seconds that it gets to stop before it is killed; the next one completes it."""


class Daily:
    """Starts a program when a file was written a day ago; the program writes that file when it is done.

    Args:
        mark: the file. Where there is none, it is written now, so that the first one starts in a day.
        command: the program.
    """

    def __init__(self, mark: Path, command: tuple[str, ...] = ERASURE) -> None:
        self._mark, self._command = mark, command
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        if not mark.exists():
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def look(self) -> None:
        """Start the program if it is time; say so if the last one has failed."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._process = None
            if code:
                self._not_before = time.time() + AGAIN_S
                log.error("the daily erasure has failed, and is tried again in an hour; see above")
        if time.time() >= max(self._not_before, self._written() + DAY_S):
            self._process = subprocess.Popen(self._command)

    def stop(self) -> None:
        """End the program if it runs."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _written(self) -> float:
        """When the file was written, in unix seconds; 0 where it is gone."""
        try:
            return self._mark.stat().st_mtime
        except FileNotFoundError:
            return 0.0
