"""`reelstream erase`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import bar, one_line, out, report
from settings import load


def erase(
    now: Annotated[
        bool,
        typer.Option("--now", help="Take all erasures, not only those of erasure.within_days ago."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Delete what is left of erased users: events, dead letters, the history. Run it once a day."""
    from lifecycle.erasure import sweep

    with one_line():
        settings = load()
        with bar("looking for erasures") as tell:
            swept = sweep(settings, now=now, progress=tell)
    words = (
        f"erasures completed: {swept.users:,}; records deleted: {swept.records:,}; dead letters deleted: "
        f"{swept.letters:,}; erasures that wait for their time: {swept.waiting:,}; {swept.seconds:.0f} s"
    )
    report(json, asdict(swept), words)
    if swept.left and not json:
        words = f"{swept.left} still has events of erased users, and is not read any more: delete this folder"
        out.print(words, soft_wrap=True)
