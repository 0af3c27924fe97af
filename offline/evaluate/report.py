"""The report of a run: one HTML page that needs nothing else, with the figures of `evaluation` and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from offline.evaluate import report_plots as plots
from offline.evaluate.evaluation import Evaluation, Report

REPORT = "report.html"

LISTS = {
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "hr@50": "HR@50",
    "mrr": "MRR",
    "coverage": "coverage@10",
    "tail": "long tail@10",
}
RANKER = {"auc": "AUC", "logloss": "log loss", "ece": "calibration error"}

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; margin: 0.8rem 0 }
th, td { padding: 0.25rem 0.9rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left } th { font-weight: 600 }
figure { margin: 0.5rem 0 } svg { max-width: 100%; height: auto } p { color: #555; max-width: 46rem }
"""


def write(evaluation: Evaluation, figures: Report) -> Path:
    """Write the page into the run folder, in full or not at all; its path."""
    path = evaluation.source.settings.runs / evaluation.source.manifest.run / REPORT
    part = path.with_name(f".{REPORT}")
    part.write_text(page(evaluation, figures), encoding="utf-8")
    return part.replace(path)


def page(evaluation: Evaluation, figures: Report) -> str:
    """The page."""
    manifest = evaluation.source.manifest
    lists = {f"{name}, {mode}": values for name, mode, values in _systems(figures)}
    body = [
        f"<h1>Run {escape(manifest.run)}</h1>",
        f"<p>Trained {manifest.created:%Y-%m-%d %H:%M} UTC, seed {manifest.seed}. Measured on {figures['events']:,} "
        "held-out discoveries, each the first event of a user with an item that the user then likes, replayed in time "
        "order: before each, the list from the events of an earlier second, over the whole catalogue without what was "
        "hidden from the user.</p>",
        "<h2>Lists</h2>",
        _table(lists, LISTS),
        "<p>Live: the stream has folded every event of an earlier second. Frozen: none of the replay. Nightly: those "
        "before the last midnight (UTC).</p>",
        "<h2>P(like) of the ranker</h2>",
        _table({name.replace("_", " "): values for name, values in figures["ranker"].items()}, RANKER),
        _plot(plots.calibration(evaluation)),
        "<h2>HR@10 by length of history</h2>",
        _plot(plots.by_length(evaluation)),
        "<h2>HR@10 by popularity of the item</h2>",
        _plot(plots.by_popularity(evaluation)),
        *_terms(evaluation),
        "<h2>Learning curve of the encoder</h2>",
        _plot(plots.learning_curves(manifest)) or "<p>The manifest has no curve.</p>",
        "<h2>Training</h2>",
        _table({name: {"value": value} for name, value in manifest.train.items()}, {"value": "setting"}),
        _table({name: {"value": value} for name, value in manifest.seconds.items()}, {"value": "seconds"}),
    ]
    title = f"<title>reelstream run {escape(manifest.run)}</title>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{title}<style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"


def _terms(evaluation: Evaluation) -> list[str]:
    """A heading and a plot for each term that has few values."""
    schema = evaluation.source.ratings.schema
    return [
        part
        for place, term in enumerate(schema.terms)
        if term.windowed
        for part in (f"<h2>HR@10 by {escape(term.singular)}</h2>", _plot(plots.by_term(evaluation, place)))
    ]


def _systems(figures: Report) -> list[tuple[str, str, Mapping[str, float]]]:
    named = {name: figures[name] for name in ("pipeline", "recall")} | figures["sources"]
    named |= {name.replace("_", "-"): figures["baselines"][name] for name in figures["baselines"]}
    named["popularity"] = figures["popularity"]
    return [(name, mode.replace("_", " "), values) for name, modes in named.items() for mode, values in modes.items()]


def _table(rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in ("", *columns.values()))
    lines = [_line(name, [values.get(column) for column in columns]) for name, values in rows.items()]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _line(name: str, values: Sequence[float | None]) -> str:
    shown = ("" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}" for value in values)
    cells = "".join(f"<td>{value}</td>" for value in shown)
    return f"<tr><td>{escape(name)}</td>{cells}</tr>"


def _plot(svg: str) -> str:
    return f"<figure>{svg}</figure>" if svg else ""
