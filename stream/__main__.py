"""A stream worker: `python -m stream --index 0`."""

from __future__ import annotations

import argparse
import gc
import logging

# What is loaded stays, and looking through it again and again takes an eighth of the start, while partitions wait.
gc.disable()

from settings import load, logs  # noqa: E402
from stores import ensure_topics  # noqa: E402
from stream.app import make_app, worker_folder  # noqa: E402
from stream.consume.membership import remove_predecessor  # noqa: E402
from stream.retry import Retrier  # noqa: E402

gc.freeze()
gc.enable()

log = logging.getLogger("reelstream.stream")


def main() -> None:
    """Fold until stopped."""
    parser = argparse.ArgumentParser(description="stream worker of reelstream")
    parser.add_argument("--index", type=int, default=0, help="number of the worker on this machine, from 0")
    settings = load()
    index = parser.parse_args().index
    logs.set_up(settings.log_level)
    Retrier(settings.stream.retry_max_s, lambda what: None)("waiting for Kafka", lambda: ensure_topics(settings.kafka))
    remove_predecessor(settings.kafka, worker_folder(settings, index))
    app = make_app(settings, index)
    worker = app.Worker(loglevel=settings.log_level.lower(), redirect_stdouts=False, quiet=True)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        # Faust tells the reason before it stops all its services, each of which logs a line.
        if ended.code:
            log.critical("worker ends: %s", ended.__context__)
        raise


if __name__ == "__main__":
    main()
