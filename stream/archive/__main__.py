"""The archiver: `python -m stream.archive`."""

from __future__ import annotations

import logging
import signal
import threading

from settings import Settings, load, logs
from stores import StoreError, Unreachable
from stores.archive.trim import WAITING_FOR_DROP, trim
from stream.archive.archiver import Archiver
from stream.archive.daily import Daily
from stream.archive.status import StatusFile

log = logging.getLogger("reelstream.archive")

LOOK_EVERY_S = 2.0
"""Seconds between two looks at how far the log is."""


def main() -> None:
    """Archive until stopped."""
    settings = load()
    logs.set_up(settings.log_level)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    follow(settings, stopping)


def follow(settings: Settings, stopping: threading.Event) -> None:
    """Archive the log as it grows, and have users erased daily; whatever is in the way is reported, and tried again.

    Args:
        settings: all settings.
        stopping: ends it once the file at work is written.
    """
    status, archiver = StatusFile(settings.archiver_status), Archiver(settings, stopping.is_set)
    daily = Daily(settings.erasure_mark) if settings.erasure.daily else None
    before = ""
    while not stopping.is_set():
        waits_for = stopped = ""
        try:
            status.write()
            written = archiver.write(everything=False, progress=lambda done, total: status.write())
            if written and settings.archive.trim and (kept := trim(settings).kept_for_previous):
                log.warning("%d offsets of the log are not trimmed; %s", kept, WAITING_FOR_DROP)
        except Unreachable as error:
            waits_for = str(error)
        except StoreError as error:
            stopped = str(error)
        except OSError as error:
            stopped = f"the archive cannot be written ({error.strerror}); free some space on {settings.archive_folder}"
        if (why := waits_for or stopped) != before and why:
            log.error("%s", why)
        before = why
        status.write(waits_for=waits_for, stopped=stopped)
        if daily is not None:
            daily.look()
        stopping.wait(LOOK_EVERY_S)
    if daily is not None:
        daily.stop()
    archiver.close()


if __name__ == "__main__":
    main()
