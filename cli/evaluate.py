"""`reelstream evaluate`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli import background
from cli.console import one_line, out, report, stage_bars
from cli.stream import call, held_out
from producers import Pace, Recording
from producers import replay as replay_all
from settings import Settings, load

if TYPE_CHECKING:
    # Imported where they are used: they need onnxruntime, which is not among what serving installs.
    from offline.evaluate.evaluation import Progress, Report
    from offline.evaluate.live_api import Compared

LISTS = ("hr@10", "ndcg@10", "hr@50", "mrr", "coverage", "tail")
USERS = ("hr@10", "popularity_hr@10", "ratio", "all_time_hr@10", "ratio_all_time", "recalled", "recalled_vectors")
ITEMS = ("events", "hr@10", "hr@50", "popularity_hr@50", "recalled", "recalled_vectors")
NEW_ITEMS = ("items", "events", "hr@50", "hr@200", "trained_hr@50", "trained_hr@200")
GROUPS = ("hr@10", "ndcg@10", "hr@50", "hr@200", "all")
RANKER = ("auc", "logloss", "ece")

SAMPLE = 2000
"""Lists that are compared with those of the API."""


def evaluate(
    run: Annotated[str | None, typer.Option("--run", help="The run to measure (default: the newest).")] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Measure a sample of this many held-out events to predict."),
    ] = None,
    api: Annotated[
        bool,
        typer.Option(
            "--api", help="Send the replay to the running system, and compare its lists with the batch evaluation."
        ),
    ] = False,
    cold: Annotated[bool, typer.Option("--cold", help="Measure new users and new items (cold start).")] = False,
    validation: Annotated[
        bool,
        typer.Option(
            "--validation",
            help="Measure a run of `train --validation` on the validation events, on which settings are chosen.",
        ),
    ] = False,
    page: Annotated[bool, typer.Option("--report", help="Also write report.html into the run folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure a run on the held-out events, replayed in time order."""
    if api + cold + page > 1:
        raise typer.BadParameter("give one of --api, --cold and --report")
    if api and validation:
        raise typer.BadParameter("--api measures the running system, which serves no run of `train --validation`")
    with one_line(), stage_bars("reading the events") as tell:
        from offline.evaluate.cold import cold as measure_cold
        from offline.evaluate.evaluation import Source, measure

        def progress(stage: str, done: int, total: int) -> None:
            tell(stage, done, total, "")

        settings = load()
        if api:
            found = through_api(settings, run, sample or SAMPLE, progress)
        elif cold:
            figures = measure_cold(Source.open(settings, run, validation=validation), sample, progress)
        else:
            source = Source.open(settings, run, validation=validation)
            measured = measure(source, sample, progress)
            figures = measured.report()
            if page:
                from offline.evaluate.report import write

                written = write(measured, figures)
    if api:
        report(json, {"api": found.as_json()}, api_words(found))
    elif json:
        report(True, figures, "")
    else:
        print_tables(figures)
    if page and not json:
        out.print(f"written to {written}", highlight=False, soft_wrap=True)


def print_tables(figures: Report) -> None:
    """Print the figures of a run, or those of its cold start."""
    if "cold" in figures:
        out.print(figures_table("new users, by events known", figures["cold"]["users"], USERS))
        rare = {f"under {n}": of for n, of in figures["cold"]["items"].items() if of["events"]}
        out.print(figures_table("items, by their events", rare, ITEMS))
        out.print(figures_table("new items, recall by vectors", {"": figures["cold"]["new_items"]}, NEW_ITEMS))
    else:
        out.print(lists_table(figures))
        for name, group in figures["groups"].items():
            if group["events"]:
                out.print(group_table(name, group))
        out.print(figures_table("ranker, P(like)", figures["ranker"], RANKER))


def through_api(settings: Settings, run: str | None, sample: int, progress: Progress) -> Compared:
    """Replay through the running system, and compare its lists with those of the batch evaluation."""
    from offline.evaluate.evaluation import Source
    from offline.evaluate.live_api import compare, live_run

    source = Source.open(settings, run or live_run(settings))
    events, name = held_out(settings)
    stopping = threading.Event()

    def send(n: int) -> None:
        recording = Recording(name, source.ratings.schema, events[:n])
        replay_all(settings.kafka, recording, pace=Pace.MAX, stopping=stopping, progress=lambda _: None)

    def recommend(body: dict[str, Any]) -> dict[str, Any]:
        return call(settings, "POST", "/ml/rec", body)

    with background.alone(settings):
        return compare(source, sample, send, recommend, progress)


def api_words(found: Compared) -> str:
    """A comparison in one line."""
    return (
        f"{found.events:,} lists through the API: {found.equal:,} of {found.positions:,} positions hold the same item, "
        f"{found.explained_by_ties:,} of the others are ties; scores differ by {found.largest_difference:.1g} at most"
    )


def lists_table(figures: Report) -> Table:
    """The systems and their lists."""
    rows: dict[str, Any] = {}
    systems = (
        {name: figures[name] for name in ("pipeline", "recall", "popularity")}
        | figures["sources"]
        | figures["baselines"]
    )
    for system, modes in systems.items():
        rows |= {f"{system} {mode}": values for mode, values in modes.items()}
    exploration = figures["exploration"]
    rows[f"exploring {exploration['share']:.0%}"] = exploration["with"]
    return figures_table(f"run {figures['run']}, {figures['events']:,} events", rows, LISTS)


def group_table(name: str, group: dict[str, Any]) -> Table:
    """The sources of candidates for a group."""
    rows = {
        f"{source}, {order}": figures
        for source, orders in group.items()
        if source != "events"
        for order, figures in orders.items()
    }
    return figures_table(f"{name.replace('_', ' ')} with few events, {group['events']:,} lists", rows, GROUPS)


def figures_table(title: str, rows: dict[str, dict[str, float]], columns: tuple[str, ...]) -> Table:
    """A row for each thing that was measured."""
    table = Table("", *columns, title=title)
    for name, values in rows.items():
        table.add_row(name, *(f"{values[column]:.4f}" if column in values else "-" for column in columns))
    return table
