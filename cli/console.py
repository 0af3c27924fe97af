"""How the command speaks: tables and figures on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from settings import ReelstreamError

out = Console()
err = Console(stderr=True)


@contextmanager
def one_line() -> Iterator[None]:
    """Tell an error in one line and exit with 1."""
    try:
        yield
    except ReelstreamError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def bar(begin: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar; takes what is being done and the share of it that is done, 0 to 1."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=not err.is_terminal) as progress:
        task = progress.add_task(begin, total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


@contextmanager
def stage_bars() -> Iterator[Callable[[str, int, int, str], None]]:
    """A progress bar for each stage; takes the stage, steps done, steps in all, and a word on how it goes."""
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[word]}"), console=err) as progress:
        stages: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int, word: str) -> None:
            if stage not in stages:
                stages[stage] = progress.add_task(stage, total=total, word="")
            progress.update(stages[stage], completed=done, total=total, word=word)

        yield tell


@contextmanager
def download_bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar of a download; takes bytes fetched and bytes in all, 0 where that is not known."""
    columns = (TextColumn("downloading MovieLens-1M"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=not err.is_terminal) as progress:
        task = progress.add_task("download", total=None)
        yield lambda fetched, total: progress.update(task, completed=fetched, total=total or None)


def report(as_json: bool, figures: object, words: str) -> None:
    """Print figures as JSON, or say them in words."""
    if as_json:
        print(json.dumps(figures))
    else:
        out.print(words, highlight=False)
