"""A replay that continues in the background, next to the servers; one at a time."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from settings import ReelstreamError, Settings


def start(settings: Settings, *options: str) -> Path:
    """Start `reelstream replay` with these options unless one is running; the file of its log."""
    log = settings.state / "logs" / "replay.log"
    if running(settings) is None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", "replay", *options],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        _pid_file(settings).write_text(str(process.pid))
    return log


def running(settings: Settings) -> psutil.Process | None:
    """The replay, None where none is running."""
    try:
        process = psutil.Process(int(_pid_file(settings).read_text()))
        if process.status() != psutil.STATUS_ZOMBIE and "replay" in process.cmdline():
            return process
    except (OSError, ValueError, psutil.Error):
        pass
    return None


def stop(settings: Settings) -> bool:
    """Stop the replay, which waits for what it sent; whether one was running."""
    process = running(settings)
    if process is not None:
        process.terminate()
        try:
            process.wait(settings.servers.stop_timeout_s)
        except psutil.TimeoutExpired:
            process.kill()
    _pid_file(settings).unlink(missing_ok=True)
    return process is not None


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold the right to replay into the topic; two replays at once would send events twice.

    Raises:
        Busy: if another replay of this state folder is running.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "replay.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                "a replay is already running; wait for it to end, or stop it (`make down` stops everything)"
            ) from None
        yield


class Busy(ReelstreamError):
    """A replay is already running."""


def _pid_file(settings: Settings) -> Path:
    return settings.state / "replay.pid"
