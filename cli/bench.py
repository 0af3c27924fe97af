"""`reelstream bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import freshness as measure
from cli.console import bar, one_line, report
from cli.stream import held_out
from settings import load

app = typer.Typer(help="Measure the running system, with a baseline in the same run.", no_args_is_help=True)


@app.callback()
def benchmarks() -> None:
    """Measure the running system, with a baseline in the same run."""


@app.command()
def freshness(
    rounds: Annotated[int, typer.Option(min=2, help="Ratings to send. They are real and stay in the state.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")] = False,
) -> None:
    """Time from a rating to the list that knows it; the baseline is a list without a rating."""
    with one_line(), bar("rating and asking") as tell:
        settings = load()
        events, _ = held_out(settings)
        userids = sorted({event.userid for event in events})[:50]
        figures = measure(settings, userids, rounds, tell).figures()
    words = (
        f"rating to new list: p50 {figures['total_ms']['p50']} ms, p99 {figures['total_ms']['p99']} ms; "
        f"a list alone: p50 {figures['baseline_ms']['p50']} ms; ratio {figures['ratio_to_baseline']}; "
        f"{figures['stale']} of {figures['rounds']} stale"
    )
    report(json, figures, words)
    if figures["stale"]:
        raise typer.Exit(1)
