"""The end of a worker's process, by its own decision."""

from __future__ import annotations

import logging
import os

log = logging.getLogger("reelstream.stream")


def end(why: str) -> None:
    """End the process at once, before Faust can acknowledge what was not done; the supervisor starts a new one."""
    log.critical("worker ends: %s", why)
    logging.shutdown()
    os._exit(1)


def end_unexpectedly(error: BaseException) -> None:
    """End the process after an error that nothing else takes."""
    log.error("unexpected error", exc_info=error)
    end(f"{type(error).__name__}: {error}")
