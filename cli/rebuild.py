"""`reelstream rebuild`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

import servers
from cli.console import bar, one_line, report
from settings import load

Progress = Callable[[str, float], None]


def rebuild(
    back: Annotated[bool, typer.Option("--back", help="Return to the state from before, caught up first.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Delete the state from before.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Fold archive and log into a new state next to the live one, verify it, and switch; nothing stops meanwhile."""
    with one_line():
        if back and drop:
            raise typer.BadParameter("give either --back or --drop")
        with bar("reading the data set" if not (back or drop) else "looking at the state") as tell:
            fields, words = _switch_back(tell) if back else _drop(tell) if drop else _rebuild(tell)
    report(json, fields, words)


def _rebuild(tell: Progress) -> tuple[dict[str, object], str]:
    from lifecycle.rebuild import rebuild as rebuild_state
    from stores.archive.whole_log import WholeLog

    settings = load()
    done = rebuild_state(settings, open_log=lambda: WholeLog(settings), progress=tell)
    words = (
        f"the new state of {done.users:,} users is live, folded from {done.events:,} records of the log in "
        f"{done.seconds:.0f} s; no worker could fold for {1000 * done.closed_s:.0f} ms"
    )
    if done.partitions is not None:
        words += f"; the log has {done.partitions} partitions"
        if workers := servers.stop(settings, ["workers", "archiver"]):
            servers.start(settings, workers)
    if not done.run_is_live:
        words += "; no run is live, `reelstream publish` publishes one"
    if done.previous is not None:
        words += "; `reelstream rebuild --back` returns to the state from before, `--drop` deletes it"
    return asdict(done), words


def _switch_back(tell: Progress) -> tuple[dict[str, object], str]:
    from lifecycle.switching import back
    from stores.archive.whole_log import WholeLog

    settings = load()
    done = back(settings, open_log=lambda: WholeLog(settings), progress=tell)
    return asdict(done), f"the state from before is live again, after {done.events:,} records that it lacked"


def _drop(tell: Progress) -> tuple[dict[str, object], str]:
    from lifecycle.switching import drop

    dropped = drop(load(), progress=tell)
    return {"dropped": dropped}, "the state from before is deleted" if dropped else "there was no other state"
