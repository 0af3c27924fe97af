"""Scenarios: known changes of the stream from a given event on, by which the detection of drift can be measured.

A scenario is a pure function of the events and a seed. It marks the events that it changes with the header `scenario`.
For a broken feature the event stays as it is, and the header `broken` asks the stream to spoil the value that it
derives, which the stream does only where `drift.spoil_features` is set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from features import GENRES, Event, Item
from features.broken import Broken, How

HEADER = "scenario"

GENRE = "Drama"
"""The genre whose ratings are inverted."""

BOOM = "Horror"
"""The genre that booms."""

FEATURE = "user_like_rate30"
"""The feature that breaks."""

SHARE = 0.7
"""Share of the events that a wave, a boom or a collapse takes."""

NEW = 1_000_000
"""Added to a userid it names a user whom nobody knows."""

Headers = tuple[tuple[str, bytes], ...]

ScenarioName = Literal[
    "none",
    "inverted",
    "genre-boom",
    "new-users",
    "broken-constant",
    "broken-missing",
    "broken-scaled",
    "popularity-collapse",
]


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """An event and the headers that it carries."""

    event: Event
    headers: Headers = ()


Change = Callable[[Sequence[Event], Mapping[int, Item], np.random.Generator], list[ScenarioEvent]]
"""Takes all events, the catalogue and random numbers; returns all events, each as it is once the scenario has begun."""


def scenario(
    name: ScenarioName, events: Sequence[Event], items: Mapping[int, Item], begin: int, seed: int
) -> list[ScenarioEvent]:
    """The events, those from the place `begin` on as the scenario has them.

    Args:
        name: one of SCENARIOS.
        events: in the order of their replay.
        items: the catalogue.
        begin: place of the first event that changes.
        seed: of all random choices; they depend on an event's place, and not on `begin`.
    """
    plain = [ScenarioEvent(event) for event in events[:begin]]
    if begin >= len(events):
        return plain
    changed = SCENARIOS[name](events, items, np.random.default_rng(seed))[begin:]
    marks = () if name == "none" else ((HEADER, name.encode()),)
    return plain + [replace(sent, headers=sent.headers + marks) for sent in changed]


def _none(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
    return [ScenarioEvent(event) for event in events]


def _inverted(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
    """Users who liked films of GENRE now dislike them, and the other way round."""
    genre = GENRES.index(GENRE)
    return [
        ScenarioEvent(replace(event, rating=6 - event.rating) if genre in items[event.itemid].genres else event)
        for event in events
    ]


def _genre_boom(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
    """Many turn to films of BOOM, drawn by how often they are rated."""
    genre = GENRES.index(BOOM)
    return _other_items(events, {itemid for itemid, item in items.items() if genre in item.genres}, rng)


def _popularity_collapse(
    events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator
) -> list[ScenarioEvent]:
    """Many turn to films that hardly anybody rated: of the rarer half of the catalogue, all alike."""
    rated = _popularity(events, items)
    rare = sorted(items, key=lambda itemid: (rated[itemid], itemid))[: len(items) // 2]
    taken, drawn = rng.random(len(events)) < SHARE, rng.choice(rare, len(events))
    return _with_items(events, taken, drawn)


def _new_users(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
    """Many events are of users whom nobody knows, each with a history of its own."""
    new = rng.random(max(event.userid for event in events) + 1) < SHARE
    return [
        ScenarioEvent(replace(event, userid=event.userid + NEW) if new[event.userid] else event) for event in events
    ]


def _broken(how: How) -> Change:
    def change(events: Sequence[Event], items: Mapping[int, Item], rng: np.random.Generator) -> list[ScenarioEvent]:
        header = Broken(FEATURE, how).header()
        return [ScenarioEvent(event, (header,)) for event in events]

    return change


def _popularity(events: Sequence[Event], items: Mapping[int, Item]) -> dict[int, int]:
    rated = dict.fromkeys(items, 0)
    for event in events:
        rated[event.itemid] += 1
    return rated


def _other_items(events: Sequence[Event], chosen: set[int], rng: np.random.Generator) -> list[ScenarioEvent]:
    among = [event.itemid for event in events if event.itemid in chosen] or sorted(chosen)
    taken, drawn = rng.random(len(events)) < SHARE / 2, rng.choice(among, len(events))
    return _with_items(events, taken, drawn)


def _with_items(
    events: Sequence[Event], taken: npt.NDArray[np.bool_], drawn: npt.NDArray[np.integer]
) -> list[ScenarioEvent]:
    return [
        ScenarioEvent(replace(event, itemid=int(itemid)) if take else event)
        for event, take, itemid in zip(events, taken.tolist(), drawn.tolist(), strict=True)
    ]


SCENARIOS: dict[ScenarioName, Change] = {
    "none": _none,
    "inverted": _inverted,
    "genre-boom": _genre_boom,
    "new-users": _new_users,
    "broken-constant": _broken(How.CONSTANT),
    "broken-missing": _broken(How.MISSING),
    "broken-scaled": _broken(How.SCALED),
    "popularity-collapse": _popularity_collapse,
}
