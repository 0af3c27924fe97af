"""The data set that the settings name: its description, and where its files are."""

from __future__ import annotations

import tomllib
from pathlib import Path

MOVIELENS = "movielens-1m"
"""The data set where none is named or remembered."""

SUFFIX = ".toml"


def is_movielens(name: str) -> bool:
    """True for the description of MovieLens-1M, by its name or its path."""
    return Path(name).stem == MOVIELENS


def absolute(name: str) -> str:
    """The name of a description in datasets/, or the absolute path of a file.

    >>> absolute("shop"), absolute("/srv/../srv/my.toml")
    ('shop', '/srv/my.toml')
    """
    return str(Path(name).expanduser().resolve()) if name.endswith(SUFFIX) else name


def folder_of(name: str) -> str:
    """The folder of the files that a description names, relative to itself, by its key `folder`; empty where it names
    none, or cannot be read: whoever reads the description tells why."""
    if not name.endswith(SUFFIX):
        return ""
    try:
        folder = tomllib.loads(Path(name).read_text("utf-8")).get("folder")
    except (OSError, ValueError):
        return ""
    return str(Path(name).parent / Path(folder).expanduser()) if isinstance(folder, str) and folder else ""


def remembered(note: Path) -> str:
    """The line that a file remembers; empty where there is none."""
    try:
        return note.read_text().rstrip("\n")
    except FileNotFoundError:
        return ""


def remember(note: Path, line: str) -> None:
    """Have a file remember a line, or nothing if the line is empty."""
    if not line:
        note.unlink(missing_ok=True)
        return
    new = note.with_suffix(".new")
    new.write_text(f"{line}\n")
    new.replace(note)
