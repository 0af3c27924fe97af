"""`reelstream up`, `down` and `status`."""

from __future__ import annotations

import dataclasses
import json as as_json
from typing import Annotated

import typer
from rich.table import Table

import servers
from cli import background
from cli.console import err, one_line, out, part_lines
from settings import load

Workers = Annotated[int | None, typer.Option(min=1, max=16, help="Number of stream workers, also for later starts.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def up(workers: Workers = None, json: Json = False) -> None:
    """Start every server that is not running, and wait until each one answers a real request."""
    with one_line(), part_lines() as tell:
        started = servers.up(load(), workers=workers, progress=tell)
    if json:
        print(as_json.dumps([dataclasses.asdict(component) for component in started]))


def down(json: Json = False) -> None:
    """Stop every server; the data is kept."""
    with one_line(), part_lines() as tell:
        settings = load()
        if background.stop(settings):
            tell("replay", "stopped")
        stopped = servers.down(settings, progress=tell)
    if json:
        print(as_json.dumps(stopped))
    elif not stopped:
        err.print("nothing was running")


def status(json: Json = False) -> None:
    """Show the status of every component, checked with a real request; exit with 1 if one is unhealthy."""
    with one_line():
        components = servers.status(load())
    if json:
        print(as_json.dumps([dataclasses.asdict(component) for component in components]))
    else:
        out.print(_table(components))
    if not all(component.healthy for component in components):
        raise typer.Exit(1)


def _table(components: list[servers.ComponentStatus]) -> Table:
    table = Table("component", "state", "healthy", box=None)
    for column in ("port", "pid", "memory MB", "uptime"):
        table.add_column(column, justify="right")
    table.add_column("detail")
    for component in components:
        table.add_row(
            component.name,
            component.state,
            "[green]yes[/]" if component.healthy else "[red]no[/]",
            str(component.port or ""),
            str(component.pid or ""),
            f"{component.memory_mb:.0f}" if component.pid else "",
            _duration(component.uptime_s) if component.pid else "",
            component.detail,
        )
    return table


def _duration(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}"
