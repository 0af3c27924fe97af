"""Output of the command: tables and figures on standard output, progress and errors on standard error.

Progress is a bar on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
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

LINES_EVERY_S = 2.0
"""Seconds between two lines of progress where standard error is not a terminal."""


@contextmanager
def one_line() -> Iterator[None]:
    """Report an error in one line and exit with 1."""
    try:
        yield
    except ReelstreamError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


class Lines:
    """Progress as plain lines on standard error, where that is not a terminal.

    Args:
        begin: the first line, which says what takes long.
    """

    def __init__(self, begin: str = "") -> None:
        self._last_at = -math.inf
        self._last = ""
        self._waiting = ""
        if begin:
            self.tell(begin)

    def tell(self, line: str, *, now: bool = False) -> None:
        """Print a line unless the one before it is younger than LINES_EVERY_S; `now` prints it in any case."""
        if line == self._last:
            return
        if now or time.monotonic() - self._last_at >= LINES_EVERY_S:
            typer.echo(line, err=True)
            self._last_at, self._last, self._waiting = time.monotonic(), line, ""
        else:
            self._waiting = line

    def end(self) -> None:
        """Print the line that waits, so that the last one says how it ended."""
        if self._waiting:
            self.tell(self._waiting, now=True)


@contextmanager
def lines(begin: str = "") -> Iterator[Lines]:
    """Plain lines, the last of which is always printed."""
    plain = Lines(begin)
    yield plain
    plain.end()


@contextmanager
def bar(begin: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar; takes what is being done and the share of it that is done, 0 to 1."""
    if not err.is_terminal:
        with lines(begin) as plain:
            yield lambda what, share: plain.tell(f"{what}: {share:.0%}" if share else what)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(begin, total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


@contextmanager
def stage_bars(begin: str) -> Iterator[Callable[[str, int, int, str], None]]:
    """A progress bar for each stage; takes the stage, steps done, steps in all, and a word on how it goes."""
    if not err.is_terminal:
        with lines(begin) as plain:
            yield _stage_lines(plain)
        return
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[word]}"), console=err) as progress:
        stages: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int, word: str) -> None:
            if stage not in stages:
                stages[stage] = progress.add_task(stage, total=total, word="")
            progress.update(stages[stage], completed=done, total=total, word=word)

        yield tell


def _stage_lines(plain: Lines) -> Callable[[str, int, int, str], None]:
    begun: set[str] = set()

    def tell(stage: str, done: int, total: int, word: str) -> None:
        new = stage not in begun
        begun.add(stage)
        plain.tell(f"{stage}: {done} of {total}{word and f', {word}'}", now=new or done == total)

    return tell


@contextmanager
def part_lines() -> Iterator[Callable[[str, str], None]]:
    """A line for each component; takes its name and what it does, and shows for how long."""
    if not err.is_terminal:
        with lines() as plain:
            yield lambda name, what: plain.tell(f"{name:<14} {what}", now=True)
        return
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, what: str) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=1)
            bars.update(tasks[name], description=f"{name:<14} {what}")
            if what == "stopped" or what.startswith("ready"):
                bars.update(tasks[name], completed=1)

        yield tell


@contextmanager
def count_bar(begin: str, total: int) -> Iterator[Callable[[str, int], None]]:
    """A progress bar that counts; takes what is being done, and how many of `total` are done."""
    if not err.is_terminal:
        with lines(begin) as plain:
            yield lambda what, done: plain.tell(f"{what}: {done:,} of {total:,}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(begin, total=total)
        yield lambda what, done: progress.update(task, description=what, completed=done)


@contextmanager
def download_bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar of a download; takes bytes fetched and bytes in all, 0 where that is not known."""
    if not err.is_terminal:
        with lines() as plain:
            yield lambda fetched, total: plain.tell(
                f"downloading MovieLens-1M: {fetched / 1e6:.1f}{f' of {total / 1e6:.1f}' if total else ''} MB"
            )
        return
    columns = (TextColumn("downloading MovieLens-1M"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("download", total=None)
        yield lambda fetched, total: progress.update(task, completed=fetched, total=total or None)


def report(as_json: bool, figures: object, words: str) -> None:
    """Print figures as JSON, or say them in words."""
    if as_json:
        print(json.dumps(figures))
    else:
        out.print(words, highlight=False)
