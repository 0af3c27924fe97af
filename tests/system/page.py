"""Edits that a page of the documentation shows, made as it shows them."""

from __future__ import annotations

import re
from pathlib import Path


def code_blocks(page: str, language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


def apply_diff(diff: str, root: Path) -> None:
    """Make the edits of a diff whose hunks have no line numbers: each must fit in one place."""
    for part in re.split(r"^--- .*\n(?=\+\+\+ )", diff, flags=re.MULTILINE)[1:]:
        head, *hunks = part.split("@@\n")
        file = root / head.strip().removeprefix("+++ b/")
        text = file.read_text()
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] != "+")
            after = "".join(line[1:] for line in lines if line[0] != "-")
            assert text.count(before) == 1, f"{file.name} has {text.count(before)} places for:\n{hunk}"
            text = text.replace(before, after)
        file.write_text(text)
