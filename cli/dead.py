"""`reelstream dead list` and `reelstream dead resend`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.console import bar, one_line, out, report
from producers import dead_events
from producers import resend as resend_all
from settings import ReelstreamError, load
from stores.kafka.dead_letters import DeadLetter

SHOWN = 80
"""Characters of a key or value in the table."""

app = typer.Typer(help="Inspect dead letters, and send their records again.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option(help="Only letters whose reason contains these words.")]
Position = Annotated[str | None, typer.Option(help="Only the letter of the record at PARTITION:OFFSET.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


class Choice:
    """A selection of dead letters."""

    def __init__(self, reason: str | None, at: str | None) -> None:
        self._reason = reason
        self._at = at
        if at is not None and not all(part.isdigit() for part in (at.split(":") if at.count(":") == 1 else [""])):
            raise ReelstreamError("--at: must be PARTITION:OFFSET, for example 3:17")

    def __call__(self, event: DeadLetter) -> bool:
        """Return whether a letter is selected. A position never selects a record that is no letter."""
        return (self._reason is None or self._reason in event.reason) and (
            self._at is None or (event.readable and self._at == f"{event.partition}:{event.offset}")
        )


@app.command("list")
def list_(
    reason: Reason = None,
    at: Position = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of letters shown.")] = 50,
    json: Json = False,
) -> None:
    """Show the dead letters: position, reason, key and value of each record."""
    with one_line():
        wanted = Choice(reason, at)
        with bar("reading the dead letters"):
            found = [event for event in dead_events(load().kafka) if wanted(event)]
    figures = [
        {
            "partition": event.partition,
            "offset": event.offset,
            "reason": event.reason,
            "key": _text(event.key),
            "value": _text(event.value),
            "truncated": {name: {"length": cut.length, "sha256": cut.sha256} for name, cut in event.cut.items()},
        }
        for event in found[:limit]
    ]
    if json:
        report(True, {"events": len(found), "shown": figures}, "")
        return
    table = Table("position", "reason", "key", "value", caption=f"{len(figures)} of {len(found)}")
    for event in found[:limit]:
        table.add_row(f"{event.partition}:{event.offset}", event.reason, _shown(event, "key"), _shown(event, "value"))
    out.print(table)
    for why, n in Counter(event.reason for event in found).most_common():
        out.print(f"{n:>8,}  {why}", highlight=False)


@app.command()
def resend(
    reason: Reason = None,
    at: Position = None,
    everything: Annotated[bool, typer.Option("--all", help="Send all of them.")] = False,
    json: Json = False,
) -> None:
    """Send the records of dead letters again, unchanged; those that are valid by now count, and only once."""
    with one_line():
        if reason is None and at is None and not everything:
            raise ReelstreamError("select letters with --reason WORDS, --at PARTITION:OFFSET, or --all")
        wanted = Choice(reason, at)
        with bar("sending records again"):
            resent = resend_all(load().kafka, wanted)
        refused = [f"{event.partition}:{event.offset} was not sent: {why}" for event, why in resent.refused]
        report(json, {"sent": resent.sent, "refused": refused}, f"{resent.sent:,} records sent again")
        if refused:
            more = f" (and {len(refused) - 1:,} others)" if len(refused) > 1 else ""
            raise ReelstreamError(refused[0] + more)


def _shown(event: DeadLetter, part: str) -> Text:
    """The beginning of a part of a record; with its length if the letter is truncated."""
    text = repr(_text(getattr(event, part)))[:SHOWN]
    if part in event.cut:
        text += f" (truncated, {event.cut[part].length:,} bytes)"
    return Text(text)


def _text(part: bytes | None) -> str | None:
    return None if part is None else part.decode("latin-1")
