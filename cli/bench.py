"""`reelstream bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import freshness as measure
from bench import hot_publish
from cli.console import bar, one_line, report
from cli.models import publish_run
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


@app.command()
def publish(
    run: Annotated[str | None, typer.Argument(help="The run to publish; else the newest.")] = None,
    per_s: Annotated[float, typer.Option(min=1, help="Requests a second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=9, help="Length of the load, in seconds.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")] = False,
) -> None:
    """Publish a run under requests; the baseline is the time before."""
    with one_line(), bar("publishing under requests") as tell:
        settings = load()
        events, _ = held_out(settings)
        userids = sorted({event.userid for event in events})

        def put_live() -> str:
            return publish_run(settings, run, tell, force=True).live.run

        figures = hot_publish(settings, userids, put_live, per_s=per_s, seconds=seconds)
    words = (
        f"{figures['requests']} requests, {figures['failed']} failed, {figures['mixed']} mixed; "
        f"p99 before {figures['before']['p99_ms']} ms, during {figures['during']['p99_ms']} ms, "
        f"ratio {figures['ratio_p99']}"
    )
    report(json, figures, words)
    if figures["failed"] or figures["mixed"]:
        raise typer.Exit(1)
