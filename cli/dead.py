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

app = typer.Typer(help="Look at the events that could not be understood, and send them again.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option(help="Only those whose reason has these words.")]
Position = Annotated[str | None, typer.Option(help="Only the one that stood at PARTITION:OFFSET.")]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")]


class Choice:
    """Which dead events are meant."""

    def __init__(self, reason: str | None, at: str | None) -> None:
        self._reason = reason
        self._at = at
        if at is not None and not all(part.isdigit() for part in (at.split(":") if at.count(":") == 1 else [""])):
            raise ReelstreamError("--at: must be PARTITION:OFFSET, as in 3:17")

    def __call__(self, event: DeadLetter) -> bool:
        """Whether the event is meant."""
        return (self._reason is None or self._reason in event.reason) and (
            self._at is None or self._at == f"{event.partition}:{event.offset}"
        )


@app.command("list")
def list_(
    reason: Reason = None,
    at: Position = None,
    limit: Annotated[int, typer.Option(min=1, help="Most events shown.")] = 50,
    json: Json = False,
) -> None:
    """Show the dead events: where they stood, why they are dead, and what they were."""
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
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    json: Json = False,
) -> None:
    """Send dead events again, as they were; what is good by now counts, and once only."""
    with one_line():
        if reason is None and at is None and not everything:
            raise ReelstreamError("say which: --reason WORDS, --at PARTITION:OFFSET, or --all")
        wanted = Choice(reason, at)
        with bar("sending dead letters again"):
            resent = resend_all(load().kafka, wanted)
        refused = [f"{event.partition}:{event.offset} is not sent: {why}" for event, why in resent.refused]
        report(json, {"sent": resent.sent, "refused": refused}, f"{resent.sent:,} dead events sent again")
        if refused:
            more = f" (and {len(refused) - 1:,} others)" if len(refused) > 1 else ""
            raise ReelstreamError(refused[0] + more)


def _shown(event: DeadLetter, part: str) -> Text:
    """The beginning of a part of an event, and its length where that is all that the letter holds."""
    text = repr(_text(getattr(event, part)))[:SHOWN]
    if part in event.cut:
        text += f" (truncated, {event.cut[part].length:,} bytes)"
    return Text(text)


def _text(part: bytes | None) -> str | None:
    return None if part is None else part.decode("latin-1")
