"""How well drift is detected: false alarms while nothing drifts, and delays where something does.

The monitor is the one that the agent runs. It is given the events of `bench.stationary`, plain or as a scenario has
them. Delays are events from the scenario's first one to the alarm of the feature that it changes. Scores of the ranker
are not part of it.
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
from drift.series import EXACT, SCORES, SERIES
from features import Event, Item
from producers.scenarios import BOOM, FEATURE, GENRE, SCENARIOS, ScenarioName, Told
from stores import DriftUpdate

EVENTS = 10_000
"""Events without a change, in which every alarm is false."""

BEGIN, AFTER = 3_000, 4_000
"""Events before a scenario begins, and of it."""

RANKED = 2_000
"""Events of a scenario after which its feature must be the worst: the window is then all of it."""

BATCH = 500

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

Change = Callable[[Sequence[Event], Mapping[int, Item], np.random.Generator], list[Told]]


def ratings_up(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[Told]:
    """Everybody rates one star higher."""
    return [Told(replace(event, rating=min(5, event.rating + 1))) for event in events]


def old_films(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[Told]:
    """Half of the events turn to films from before 1970."""
    old = [itemid for itemid, item in items.items() if item.year < 1970] or sorted(items)
    taken, drawn = rng.random(len(events)) < 0.5, rng.choice(old, len(events)).tolist()
    return [
        Told(replace(event, itemid=itemid) if take else event)
        for event, take, itemid in zip(events, taken.tolist(), drawn, strict=True)
    ]


UNLISTED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "ratings-up": (ratings_up, ("label",)),
    "old-films": (old_films, ("item_year",)),
}
"""Changes of a kind that no scenario has, and the series in which each shows."""


@dataclass
class Found:
    """What came of one kind of change, one entry for each seed.

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
    false: dict[str, int] = {}
    for seed in range(seeds):
        events, origins = blocks.stream(EVENTS, seed)
        plain = blocks.folded([Told(event) for event in events], origins, items)
        for alarm in watched(plain, reference, plan).opened:
            false[alarm.series] = false.get(alarm.series, 0) + 1
        for number, (name, (change, series)) in enumerate(changes.items()):
            progress(f"seed {seed + 1} of {seeds}: {name}", (seed + number / len(changes)) / seeds)
            changed = change(events, items, np.random.default_rng(seed))[BEGIN : BEGIN + AFTER]
            told = [Told(event) for event in events[:BEGIN]] + changed
            update = watched(blocks.folded(told, origins[: len(told)], items), reference, plan)
            delays = [alarm.opened - BEGIN for alarm in update.opened if alarm.series == series[0]]
            found[name].delays.append(min((delay for delay in delays if delay > 0), default=None))
            found[name].worst.append(_worst(update) in series)
    told_of = {name: of.figures() for name, of in found.items()}
    watching = len(SERIES[:EXACT])
    return {
        "seeds": seeds,
        "false_alarms": sum(false.values()),
        "false_alarms_by_series": false,
        "false_alarms_per_feature_10k": sum(false.values()) / (watching * seeds * EVENTS / 10_000),
        "scenarios": {name: told_of[name] for name in AFFECTED},
        "unlisted": {name: told_of[name] for name in UNLISTED},
    }


def watched(events: Events, reference: Reference, plan: Plan) -> DriftUpdate:
    """All that a monitor finds in a stream."""
    monitor, update = Monitor("bench", reference, plan), DriftUpdate()
    for start in range(0, len(events), BATCH):
        at = slice(start, start + BATCH)
        part = replace(events, offset=events.offset[at], ts=events.ts[at], liked=events.liked[at], rows=events.rows[at])
        monitor.add(part, Scored.none(), update)
    return update


def _worst(update: DriftUpdate) -> str:
    window = next(window for window in update.windows if window.events >= BEGIN + RANKED)
    return max(window.psi, key=lambda name: window.psi[name] / window.band[name])


def _without_scores(reference: Reference) -> Reference:
    some = Histogram.of(np.arange(2.0))
    return replace(reference, scores=dict.fromkeys(SCORES, some))
