"""The command line of a long run, and how it ends: with its figures as JSON, and with 1 where a promise is broken."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parser_of(description: str) -> argparse.ArgumentParser:
    """A parser with `--json`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser


def under_load(description: str, minutes: float) -> argparse.ArgumentParser:
    """A parser for a run of some minutes under events and requests."""
    parser = parser_of(description)
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--rate", type=float, default=500.0, help="events per second")
    parser.add_argument("--requests", type=float, default=20.0, help="requests per second")
    return parser


def end(figures: dict[str, Any], broken: Sequence[str], file: Path | None) -> None:
    """Print the figures, write them to a file where one is given, and exit with 1 if promises are broken."""
    text = json.dumps(figures, indent=1)
    print(text)
    if file:
        file.write_text(text)
    if broken:
        sys.exit("broken promises: " + "; ".join(broken))
