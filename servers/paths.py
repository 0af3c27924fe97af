"""Paths: what is installed (the cache, shared by state folders), and what belongs to one state folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from servers.errors import NotReady

REPOSITORY = Path(__file__).resolve().parent.parent


def cache() -> Path:
    """The folder of installed jars and environments: `REELSTREAM_CACHE`, else `.reelstream/cache` in the repository."""
    named = os.environ.get("REELSTREAM_CACHE", "")
    return Path(named).expanduser().resolve() if named else REPOSITORY / ".reelstream" / "cache"


def private_folder(folder: Path) -> None:
    """Make a folder where it is missing, and let nobody but its owner in.

    Raises:
        NotReady: it belongs to another user, who could put files of theirs in it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise NotReady(
            f"{folder} is not private to this user; remove it or choose another (shorter) REELSTREAM_STATE_DIR"
        )
    folder.chmod(0o700)


def write_private(file: Path, text: str) -> None:
    """Write a file that holds passwords: only its owner can read it."""
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


@dataclass(frozen=True)
class Layout:
    """The folders and files of one state folder."""

    state: Path

    @property
    def logs(self) -> Path:
        """One log file for each component."""
        return self.state / "logs"

    @property
    def supervisor(self) -> Path:
        """The supervisor's configuration, process id and socket, and one launch file for each component."""
        return self.state / "supervisor"

    def log(self, name: str) -> Path:
        """The log file of a component."""
        return self.logs / f"{name}.log"

    def data(self, name: str) -> Path:
        """The data folder of a component."""
        return self.state / "data" / name

    def config(self, name: str) -> Path:
        """The folder of a component's generated configuration."""
        return self.state / "config" / name

    def make_folders(self, name: str) -> tuple[Path, Path]:
        """The folders of a component's data and generated configuration, made where they are missing."""
        folders = self.data(name), self.config(name)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return folders

    def launch(self, name: str) -> Path:
        """The file that says how to run a component."""
        return self.supervisor / "launch" / f"{name}.json"

    def make(self) -> None:
        """Create the folders; what holds passwords is for this user only."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in ("supervisor", "supervisor/launch", "config", "data", "triton"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
            (self.state / name).chmod(0o700)
