"""Install what the servers need: `python -m servers`. Instant where nothing is missing."""

from __future__ import annotations

import sys

import servers
from settings import ReelstreamError, load


def main() -> int:
    """Install everything, saying what is installed; 1 and one line where something is in the way."""
    try:
        servers.setup(load(), progress=lambda name, what: print(f"{name}: {what}", file=sys.stderr))
    except ReelstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
