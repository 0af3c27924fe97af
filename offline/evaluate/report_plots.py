"""The plots of the report, as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from drift import classification_metrics
from offline.data.readers import Ints
from offline.evaluate.evaluation import Evaluation
from offline.runs import Manifest

SYSTEMS = {
    ("pipeline", "live"): "whole pipeline, live",
    ("recall", "live"): "recall only",
    ("popularity", "live"): "popularity",
}
COLOURS = ("#1b6ca8", "#e08e0b", "#7a7a7a")
LENGTHS = (0, 20, 50, 100, 200, 500)
RATINGS = (0, 20, 100, 300, 1000, 2000)


def learning_curves(manifest: Manifest) -> str:
    """HR@10 and NDCG@10 of the encoder on validation events after each epoch; empty where the run has none."""
    epochs = sorted(
        (int(name.rsplit("_", 1)[1]), values)
        for name, values in manifest.metrics.items()
        if name.startswith("encoder_epoch_")
    )
    if not epochs:
        return ""
    figure, axes = _figure("epoch", "on validation events")
    for name, colour in zip(("hr@10", "ndcg@10"), COLOURS, strict=False):
        axes.plot(
            [epoch for epoch, _ in epochs], [values[name] for _, values in epochs], "o-", color=colour, label=name
        )
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return _svg(figure)


def calibration(evaluation: Evaluation) -> str:
    """Share of likes against P(like) in bins."""
    figure, axes = _figure("P(like), mean of the bin", "share of likes")
    axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=1)
    for (name, pairs), colour in zip(evaluation.ranker.items(), COLOURS, strict=True):
        mean, share, n = classification_metrics.calibration(*pairs)
        used = n > 0
        axes.plot(mean[used], share[used], "o-", markersize=4, color=colour, label=name.replace("_", " "))
    axes.legend(frameon=False)
    return _svg(figure)


def by_length(evaluation: Evaluation) -> str:
    """HR@10 by the length of the history."""
    return _by_bins(evaluation, evaluation.length, LENGTHS, "events of the user so far")


def by_popularity(evaluation: Evaluation) -> str:
    """HR@10 by the popularity of the wanted item."""
    return _by_bins(evaluation, evaluation.item_n, RATINGS, "count of the wanted item so far")


def by_term(evaluation: Evaluation, place: int) -> str:
    """HR@10 by a term of the wanted item, given by its place in the terms; an item counts to each of its values."""
    ratings = evaluation.source.ratings
    term = ratings.schema.terms[place]
    codes = [ratings.catalogue.items[ratings.itemid(target)].terms[place] for target in evaluation.targets.tolist()]
    masks = [np.array([code in of_item for of_item in codes]) for code in range(len(term.values))]
    return _bars(evaluation, masks, term.values, f"{term.singular} of the wanted item", upright=True)


def _by_bins(evaluation: Evaluation, value: Ints, bounds: Sequence[int], label: str) -> str:
    uppers = [*bounds[1:], None]
    masks = [(value >= low) & (value < (high or value.max() + 1)) for low, high in zip(bounds, uppers, strict=True)]
    names = [f"{low} to {high - 1}" if high else f"{low} and more" for low, high in zip(bounds, uppers, strict=True)]
    return _bars(evaluation, masks, names, label)


def _bars(
    evaluation: Evaluation, masks: Sequence[np.ndarray], names: Sequence[str], label: str, *, upright: bool = False
) -> str:
    """A group of bars for each mask that has events, a bar for each of SYSTEMS."""
    shown = [(mask, name) for mask, name in zip(masks, names, strict=True) if mask.any()]
    figure, axes = _figure(label, "HR@10", width=9.0 if upright else 6.0)
    place = np.arange(len(shown))
    for number, ((key, system), colour) in enumerate(zip(SYSTEMS.items(), COLOURS, strict=True)):
        rank = evaluation.tallies[key].rank
        values = [float(np.mean(rank[mask] < 10)) for mask, _ in shown]
        axes.bar(place + (number - 1) * 0.27, values, 0.27, color=colour, label=system)
    labels = [
        f"{name}\n{int(mask.sum()):,}" if not upright else f"{name} ({int(mask.sum()):,})" for mask, name in shown
    ]
    axes.set_xticks(place, labels, rotation=60 if upright else 0, ha="right" if upright else "center", fontsize=8)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(SYSTEMS))
    return _svg(figure)


def _figure(x: str, y: str, width: float = 6.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    axes: Axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The figure without the XML head; text stays text, in the reader's own font."""
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "reelstream"}):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
