"""Writes what is made here: `python -m dashboards`."""

from __future__ import annotations

from pathlib import Path

from dashboards import files


def main() -> None:
    """Write every file next to this code."""
    for name, content in files().items():
        path = Path(__file__).parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
