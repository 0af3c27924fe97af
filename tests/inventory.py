"""The table of docs/versions.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PAGE = Path(__file__).parents[1] / "docs" / "versions.md"


@dataclass(frozen=True)
class Row:
    """A kind of stored value.

    Attributes:
        kind: key, topic, index or file.
        name: with words in capitals for what varies.
        content, version, older, newer: the other cells.
    """

    kind: Literal["key", "topic", "index", "file"]
    name: str
    content: str
    version: str
    older: str
    newer: str


def rows() -> list[Row]:
    """All rows of the table."""
    found = []
    for line in PAGE.read_text().splitlines():
        if match := re.match(r"\| (topic |index )?`([^`]+)` \|(.*)\|$", line):
            cells = [cell.strip() for cell in match[3].split(" | ")]
            found.append(Row(_kind(match[1], match[2]), match[2], *cells))
    return found


def _kind(word: str | None, name: str) -> Literal["key", "topic", "index", "file"]:
    if word is not None:
        return "topic" if word == "topic " else "index"
    return "key" if name.startswith(("{", "reelstream:")) or name == "FEAST" else "file"
