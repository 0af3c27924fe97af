"""`reelstream drift list` and `reelstream drift ack`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.console import one_line, out, report
from cli.stream import call
from settings import load

app = typer.Typer(help="List drift alarms, and acknowledge them.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """Show the open alarms by cause, with their notes; through the API."""
    with one_line():
        found: Any = call(load(), "GET", "/drift/alarms")
    if json:
        report(True, found, "")
        return
    for cause in found["causes"]:
        said = "not acknowledged" if cause["note"] is None else f"acknowledged: {cause['note']}"
        out.print(f"{cause['cause']}, {said}", highlight=False)
        for alarm in cause["alarms"]:
            out.print(f"  {alarm['series']} ({alarm['detector']}): {_measured(alarm)}", highlight=False)
    if not found["causes"]:
        out.print("no alarm is open")


@app.command()
def ack(
    alarm: Annotated[str, typer.Argument(help="A series with an open alarm, or a cause as shown by `drift list`.")],
    note: Annotated[str, typer.Argument(help="The note.")],
    json: Json = False,
) -> None:
    """Acknowledge the alarms of a cause with a note, which holds until they change; through the API."""
    with one_line():
        done: Any = call(load(), "POST", "/drift/acknowledge", {"alarm": alarm, "note": note})
    report(json, done, f"acknowledged until it changes: {', '.join(done['alarms'])}")


def _measured(alarm: Mapping[str, Any]) -> str:
    """Value of an alarm, and the figure that it is compared with.

    >>> _measured({"value": 0.3125, "threshold": 0.1, "mean_before": None})
    '0.312, normal is under 0.1'
    >>> _measured({"value": 0.25, "threshold": None, "mean_before": 0.5})
    'mean 0.25, before 0.5'
    """
    if alarm["threshold"] is not None:
        return f"{alarm['value']:.3g}, normal is under {alarm['threshold']:.3g}"
    if alarm["mean_before"] is not None:
        return f"mean {alarm['value']:.3g}, before {alarm['mean_before']:.3g}"
    return f"{alarm['value']:.0f} failures; the worker's log says why"
