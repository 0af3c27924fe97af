"""Logging of our processes: one format, and quiet libraries."""

from __future__ import annotations

import logging

QUIET = ("elastic_transport", "feast", "kafka", "werkzeug", "urllib3", "aiokafka")


def set_up(level: str) -> None:
    """Log to standard error at `level`; of the libraries' words only warnings."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
