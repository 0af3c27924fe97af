"""`reelstream rebuild`."""

from __future__ import annotations

from typing import Annotated

import typer

import servers
from cli.console import bar, one_line, report
from settings import load


def rebuild(json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False) -> None:
    """Delete the state and fold the whole log again; the log and every acknowledged event are kept."""
    from offline.state.rebuild import rebuild as rebuild_state

    with one_line():
        settings = load()
        stopped: list[str] = []
        try:
            with bar("reading the ratings") as tell:
                written = rebuild_state(
                    settings,
                    stop_workers=lambda: stopped.extend(servers.stop(settings, ["workers"])),
                    progress=tell,
                )
        finally:
            if stopped:
                servers.start(settings, stopped)
    words = f"the state of {written.users:,} users is written; the stream workers now fold the log again"
    report(json, written.model_dump(), words)
