"""Detection delays: events until drift is detected.

The monitor is the one that the agent runs. It is given the events of `bench.stationary` as a scenario has them, each
stream of other users. Delays are events from the scenario's first one to the alarm of the series that it changes. How
often there is an alarm while nothing drifts is measured by `bench.false_alarms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from bench.stationary import Blocks
from drift import Histogram, Reference
from drift.events import Events, Scored
from drift.monitor import Monitor, Plan
from drift.records import DriftUpdate
from drift.series import SCORES
from drift.thresholds import PROBABILITIES
from features import Event, Item
from producers.scenarios import BOOM, FEATURE, GENRE, SCENARIOS, ScenarioEvent, ScenarioName

BEGIN = 1_000
"""Events before a scenario begins; the others of a stream follow it."""

RANKED = 1_500
"""Events of a scenario after which its feature must be the worst: the window is then all of it."""

RATE = 200.0
"""Events a second. At a higher rate less may be spent on each check, and thresholds are higher."""

BATCH = 50

AFFECTED: dict[ScenarioName, tuple[str, ...]] = {
    "inverted": (f"label:{GENRE}",),
    "genre-boom": (f"genre:{BOOM}",),
    "new-users": ("user_log_n", "user_log_days"),
    "broken-constant": (FEATURE,),
    "broken-missing": (FEATURE,),
    "broken-scaled": (FEATURE,),
    "popularity-collapse": ("item_log_n",),
}
"""The series that a scenario changes by definition: alarms are looked for in the first, the worst may be any of them.
A user whom nobody knows has no events, and no days since the first of them."""

Change = Callable[[Sequence[Event], Mapping[int, Item], np.random.Generator], list[ScenarioEvent]]


def ratings_up(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
    """Everybody rates one star higher."""
    return [ScenarioEvent(replace(event, rating=min(5, event.rating + 1))) for event in events]


def old_films(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
    """Half of the events turn to films from before 1970."""
    old = [itemid for itemid, item in items.items() if item.year < 1970] or sorted(items)
    taken, drawn = rng.random(len(events)) < 0.5, rng.choice(old, len(events)).tolist()
    return [
        ScenarioEvent(replace(event, itemid=itemid) if take else event)
        for event, take, itemid in zip(events, taken.tolist(), drawn, strict=True)
    ]


UNLISTED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "ratings-up": (ratings_up, ("label",)),
    "old-films": (old_films, ("item_year",)),
}
"""Changes of a kind that no scenario has, and the series in which each shows."""


@dataclass
class Found:
    """Results for one kind of change, one entry for each seed.

    Attributes:
        delays: events until the alarm of the affected series; None without one.
        worst: whether an affected series was the worst of all, RANKED events in.
    """

    delays: list[int | None] = field(default_factory=list)
    worst: list[bool] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """As it is reported."""
        seen = [delay for delay in self.delays if delay is not None]
        return {
            "detected": len(seen),
            "median_delay_events": median(seen) if seen else None,
            "longest_delay_events": max(seen, default=None),
            "ranked_worst": all(self.worst),
            "ranked_worst_seeds": sum(self.worst),
        }


def detection(
    blocks: Blocks,
    items: Mapping[int, Item],
    reference: Reference,
    plan: Plan,
    seeds: int,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """The figures of all kinds of change, over `seeds` streams."""
    reference = _without_scores(reference)
    changes: dict[str, tuple[Change, tuple[str, ...]]] = {name: (SCENARIOS[name], AFFECTED[name]) for name in AFFECTED}
    changes |= UNLISTED
    found = {name: Found() for name in changes}
    false = 0
    for seed in range(seeds):
        events, origins = blocks.stream(seed)
        plain = blocks.folded([ScenarioEvent(event) for event in events], origins, items)
        false += len(watched(plain, reference, plan).opened)
        for number, (name, (change, series)) in enumerate(changes.items()):
            progress(f"seed {seed + 1} of {seeds}: {name}", (seed + number / len(changes)) / seeds)
            changed = change(events, items, np.random.default_rng(seed))[BEGIN:]
            stream = [ScenarioEvent(event) for event in events[:BEGIN]] + changed
            update = watched(blocks.folded(stream, origins, items), reference, plan)
            delays = [alarm.opened - BEGIN for alarm in update.opened if alarm.series == series[0]]
            found[name].delays.append(min((delay for delay in delays if delay > 0), default=None))
            found[name].worst.append(_worst(update) in series)
    figures = {name: found_of.figures() for name, found_of in found.items()}
    return {
        "seeds": seeds,
        "false_alarms_in_plain_streams": false,
        "scenarios": {name: figures[name] for name in AFFECTED},
        "unlisted": {name: figures[name] for name in UNLISTED},
    }


def watched(events: Events, reference: Reference, plan: Plan) -> DriftUpdate:
    """All that a monitor finds in a stream."""
    monitor, update = Monitor("bench", reference, plan), DriftUpdate()
    for start in range(0, len(events), BATCH):
        at = slice(start, start + BATCH)
        part = Events(0, events.offset[at], events.ts[at], events.liked[at], events.rows[at], 1e9 + start / RATE)
        monitor.add(part, Scored.none(), update)
    return update


def _worst(update: DriftUpdate) -> str:
    window = next(window for window in update.windows if window.events >= BEGIN + RANKED)
    return max(window.psi, key=lambda name: window.psi[name] / window.threshold[name])


def _without_scores(reference: Reference) -> Reference:
    some = Histogram.of(np.arange(2.0))
    return replace(reference, scores=dict.fromkeys(SCORES, replace(some, tail=[0.0] * len(PROBABILITIES))))
