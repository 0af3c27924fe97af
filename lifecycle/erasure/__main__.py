"""The daily erasure: `python -m lifecycle.erasure`, which the archiver starts."""

from __future__ import annotations

import logging
import sys

from lifecycle.erasure import sweep
from settings import ReelstreamError, load, logs

log = logging.getLogger("reelstream.erasure")


def main() -> None:
    """Delete what is left of the users who were erased long enough ago, and exit with 1 where that fails."""
    settings = load()
    logs.set_up(settings.log_level)
    try:
        swept = sweep(settings, now=False, progress=lambda what, share: None)
    except ReelstreamError as error:
        log.error("%s", error)
        sys.exit(1)
    told = swept.users, swept.records, swept.letters
    log.info("erasures completed: %d; records deleted: %d; dead letters deleted: %d", *told)
    if swept.left:
        log.warning("%s still has ratings of erased users, and is not read any more: delete this folder", swept.left)


if __name__ == "__main__":
    main()
