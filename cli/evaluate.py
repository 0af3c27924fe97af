"""`reelstream evaluate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from cli.console import one_line, out, report, stage_bars
from offline.evaluate import Report, Source, measure
from settings import load

LISTS = ("hr@10", "ndcg@10", "hr@50", "mrr", "coverage", "tail")
RANKER = ("auc", "logloss", "ece")


def evaluate(
    run: Annotated[str | None, typer.Option("--run", help="The run; else the newest.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only this many of the liked held-out events.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")] = False,
) -> None:
    """Measure a run on the held-out events, replayed in time order."""
    with one_line(), stage_bars() as tell:

        def progress(stage: str, done: int, total: int) -> None:
            tell(stage, done, total, "")

        figures = measure(Source.open(load(), run), sample, progress).report()
    if json:
        report(True, figures, "")
    else:
        out.print(lists_table(figures))
        out.print(figures_table("ranker, P(like)", figures["ranker"], RANKER))


def lists_table(figures: Report) -> Table:
    """The systems and their lists."""
    rows: dict[str, Any] = {}
    systems = {name: figures[name] for name in ("pipeline", "recall", "popularity")} | figures["sources"]
    for system, modes in systems.items():
        rows |= {f"{system} {mode}": values for mode, values in modes.items()}
    return figures_table(f"run {figures['run']}, {figures['events']:,} liked events", rows, LISTS)


def figures_table(title: str, rows: dict[str, dict[str, float]], columns: tuple[str, ...]) -> Table:
    """A row for each thing that was measured."""
    table = Table("", *columns, title=title)
    for name, values in rows.items():
        table.add_row(name, *(f"{values[column]:.4f}" for column in columns))
    return table
