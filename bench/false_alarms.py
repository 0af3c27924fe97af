"""Rate of false alarms of the whole system, in alarms a week, at several rates of events.

Blocks are split into halves: from one the reference and its thresholds are made, of the other windows are drawn, so
that no event is both. Every series and every detector that raises alarms in production counts: those of windows
(`window_alarms`) and those that watch event by event (`change_alarms`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench.change_alarms import change_alarms
from bench.sample import Sample
from bench.window_alarms import DrawnWindows
from drift import Reference
from drift.budget import WEEK_S
from drift.monitor import Plan
from drift.series import Series

RATES = (20.0, 200.0, 2000.0)
"""Events a second."""


def false_alarms(
    series: Series,
    sample: Sample,
    plan: Plan,
    scored_per_s: float,
    seed: int,
    progress: Callable[[str, float], None],
    rates: Sequence[float] = RATES,
) -> dict[str, Any]:
    """Alarms a week by rate and detector, and how they were got.

    Args:
        series: of the data set.
        sample: what is drawn from.
        plan: how the monitor watches.
        scored_per_s: most events a second that the ranker scores.
        seed: of all draws.
        progress: told what is done, and which share of all.
        rates: events a second.
    """
    known, drawn = sample.halves(seed)
    figures = dict.fromkeys(("auc", "logloss", "ece", "label_rate", "hit10", "hit50"), 0.5)
    reference = Reference.of(series, known.block, known.rows, known.liked, known.scored, figures, seed)
    windows = DrawnWindows(series, reference, drawn, plan)
    found: dict[str, Any] = {}
    changes = change_alarms(drawn, seed, progress)
    for rate in rates:
        share = min(1.0, scored_per_s / rate)
        counted = windows.count(rate, share, seed, partial(progress, f"{rate:g} events/s"))
        events = {"label": rate * WEEK_S, "logloss": share * rate * WEEK_S, "score": share * rate * WEEK_S}
        by_change = {name: 10.0 ** change["log_rate"] * events[name] for name, change in changes.items()}
        found[f"{rate:g}"] = {
            **counted,
            **{f"{change['detector']}:{name}": by_change[name] for name, change in changes.items()},
            "all_per_week": counted["windows_per_week"] + sum(by_change.values()),
        }
    return {"budget_per_week": plan.false_alarms_per_week, "rates": found, "changes": changes}
