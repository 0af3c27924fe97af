"""The file in which the archiver says how it is; `reelstream status` reads it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class StatusFile:
    """Writes the status of this process.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, *, waits_for: str = "", stopped: str = "") -> None:
        """Say that the process works.

        Args:
            waits_for: what it waits for; empty if for nothing.
            stopped: the reason why it archives nothing; empty if it does.
        """
        status = {"pid": os.getpid(), "at": time.time(), "waits_for": waits_for, "stopped": stopped}
        new = self._path.with_name(f".new-{self._path.name}")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(status))
        new.replace(self._path)
