"""Detection delays: events until drift is detected.

The monitor is the one that the agent runs. It is given the events of `bench.stationary` as a scenario has them, each
stream of other users. Delays are events from the scenario's first one to the alarm of the series that it changes. How
often there is an alarm while nothing drifts is measured by `bench.false_alarms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from bench.stationary import Blocks
from drift import Histogram, Reference
from drift.events import Events, Scored
from drift.monitor import Monitor, Plan
from drift.records import DriftUpdate
from drift.series import LABEL, SCORES, Series
from drift.thresholds import PROBABILITIES
from features import Attribute, Codes, Id, Item, Schema
from features.columns import ItemTable
from producers.scenarios import (
    FEATURE,
    Change,
    ScenarioEvent,
    Stream,
    Value,
    booming_value,
    inverted_value,
    scenarios,
)

BEGIN = 1_000
"""Events before a scenario begins; the others of a stream follow it."""

RANKED = 1_500
"""Events of a scenario after which its feature must be the worst: the window is then all of it."""

RATE = 200.0
"""Events a second. At a higher rate less may be spent on each check, and thresholds are higher."""

BATCH = 50

LOW = 0.2
"""Share of the items that count as those with the lowest numbers."""


def affected(stream: Stream) -> dict[str, tuple[str, ...]]:
    """The series that each scenario changes by definition.

    Alarms are looked for in the first, the worst may be any of them. A user whom nobody knows has no events, and no
    days since the first of them.
    """
    inverted, booming = inverted_value(stream), booming_value(stream)
    by_name: dict[str, tuple[str, ...]] = {
        "inverted": (label_of(stream, inverted),) if inverted else (LABEL,),
        "new-users": ("user_log_n", "user_log_days"),
        "broken-constant": (FEATURE,),
        "broken-missing": (FEATURE,),
        "broken-scaled": (FEATURE,),
        "popularity-collapse": ("item_log_n",),
    }
    if booming is not None:
        term = stream.schema.terms[booming.term]
        by_name[f"{term.singular}-boom"] = (f"{term.singular}:{booming.name(stream.schema)}",)
    return {name: by_name[name] for name in scenarios(stream.schema) if name in by_name}


def label_of(stream: Stream, value: Value) -> str:
    """The series of the labels of items with a value."""
    item = next(item for item in stream.items.values() if value.code in item.terms[value.term])
    name = value.name(stream.schema)
    return next(label for label in Series(stream.schema).labels_of(item) if label.endswith(f":{name}"))


def values_up(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    """Everybody gives the next higher value, or the next type of event."""
    codes = stream.schema.codes
    return [ScenarioEvent(replace(event, code=_next(codes, event.code), value=None)) for event in stream.events]


def _next(codes: Codes, code: int) -> int:
    higher = code + 1
    return higher if (higher < codes.size and codes.type(higher) == codes.type(code)) or not codes.single else code


def low_numbers(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    """Half of the events turn to the items with the lowest number of the first attribute that is one."""
    name = next(attribute.name for attribute in stream.schema.item_attributes if _is_number(attribute))
    table = ItemTable(stream.schema, stream.items)
    numbers = table.numbers(name)
    low = np.flatnonzero(numbers <= np.nanquantile(numbers, LOW))
    taken, drawn = rng.random(len(stream.events)) < 0.5, rng.choice(low, len(stream.events)).tolist()
    return [
        ScenarioEvent(replace(event, itemid=table.itemids[column]) if take else event)
        for event, take, column in zip(stream.events, taken.tolist(), drawn, strict=True)
    ]


def _is_number(attribute: Attribute) -> bool:
    return attribute.kind == "number" and not attribute.of


def unlisted(schema: Schema) -> dict[str, tuple[Change, tuple[str, ...]]]:
    """Changes of a kind that no scenario has, and the series in which each shows."""
    changes: dict[str, tuple[Change, tuple[str, ...]]] = {}
    if schema.codes.single and schema.codes.value(1) is not None:
        changes["ratings-up"] = (values_up, (LABEL,))
    number = next((attribute.name for attribute in schema.item_attributes if _is_number(attribute)), None)
    if number is not None:
        changes[f"low-{number}"] = (low_numbers, (f"item_{number}",))
    return changes


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
    schema: Schema,
    items: Mapping[Id, Item],
    reference: Reference,
    plan: Plan,
    seeds: int,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """The figures of all kinds of change, over `seeds` streams."""
    reference = _without_scores(reference)
    series_of_schema, listed, others = Series(schema), scenarios(schema), unlisted(schema)
    shown = affected(Stream(schema, blocks.stream(0)[0], items))
    changes = {name: (listed[name], series) for name, series in shown.items()} | others
    found = {name: Found() for name in changes}
    false = 0
    for seed in range(seeds):
        events, origins = blocks.stream(seed)
        plain = blocks.folded([ScenarioEvent(event) for event in events], origins, items)
        false += len(watched(plain, series_of_schema, reference, plan).opened)
        for number, (name, (change, series)) in enumerate(changes.items()):
            progress(f"seed {seed + 1} of {seeds}: {name}", (seed + number / len(changes)) / seeds)
            changed = change(Stream(schema, events, items), np.random.default_rng(seed))[BEGIN:]
            stream = [ScenarioEvent(event) for event in events[:BEGIN]] + changed
            update = watched(blocks.folded(stream, origins, items), series_of_schema, reference, plan)
            delays = [alarm.opened - BEGIN for alarm in update.opened if alarm.series == series[0]]
            found[name].delays.append(min((delay for delay in delays if delay > 0), default=None))
            found[name].worst.append(_worst(update) in series)
    figures = {name: found_of.figures() for name, found_of in found.items()}
    return {
        "seeds": seeds,
        "false_alarms_in_plain_streams": false,
        "scenarios": {name: figures[name] for name in shown},
        "unlisted": {name: figures[name] for name in others},
    }


def watched(events: Events, series: Series, reference: Reference, plan: Plan) -> DriftUpdate:
    """All that a monitor finds in a stream."""
    monitor, update = Monitor("bench", series, reference, plan), DriftUpdate()
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
