"""`reelstream adopt`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

import servers
from cli.console import bar, err, one_line, report
from settings import load


def adopt(json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False) -> None:
    """Continue with a log that is not the one the state was folded from, or that lacks events; profiles are kept."""
    from offline.state.adopt import adopt as adopt_log

    with one_line():
        settings = load()
        stopped: list[str] = []
        try:
            with bar("comparing the log with the state") as tell:
                done = adopt_log(
                    settings,
                    stop_workers=lambda: stopped.extend(servers.stop(settings, ["workers"])),
                    progress=tell,
                )
        finally:
            if stopped:
                servers.start(settings, stopped)
    if not json:
        for each in done.partitions:
            err.print(each.words(), highlight=False)
    words = (
        f"{len(done.partitions)} partitions continue; the state is saved as snapshot {done.snapshot}"
        if done.partitions
        else "nothing to adopt: the log of every partition is the one its state was folded from"
    )
    if done.archive_set_aside:
        words += "; the archive is set aside, since this log does not continue it, and a new one begins"
    report(json, dataclasses.asdict(done), words)
