"""Scenarios: known changes of the stream from a given event on, by which the detection of drift can be measured.

A scenario is a pure function of the events and a seed. It marks the events that it changes with the header `scenario`.
For a broken feature the event stays as it is, and the header `broken` asks the stream to spoil the value that it
derives, which the stream does only where `drift.spoil_features` is set.

The scenarios of a data set follow from its schema: one that is about a kind of items takes a value of the first term
that has a column for each value, such as a genre.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from features import Attribute, Event, Id, IdKind, Item, Schema
from features.broken import Broken, How
from features.dataset.part import MAX_ID, MAX_ID_LENGTH
from settings import ReelstreamError

HEADER = "scenario"

FEATURE = "user_like_rate30"
"""The feature that breaks."""

SHARE = 0.7
"""Share of the events that a wave, a boom or a collapse takes."""

NEW = 1_000_000
"""Added to a userid it names a user whom nobody knows."""

Headers = tuple[tuple[str, bytes], ...]


class ScenarioError(ReelstreamError, ValueError):
    """A scenario that the data set does not have."""


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """An event and the headers that it carries."""

    event: Event
    headers: Headers = ()


@dataclass(frozen=True)
class Stream:
    """The stream that a scenario changes.

    Attributes:
        schema: of the data set.
        events: all events, in the order of their replay.
        items: the catalogue.
    """

    schema: Schema
    events: Sequence[Event]
    items: Mapping[Id, Item]

    def items_of(self, value: Value) -> set[Id]:
        """The items that have a value."""
        return {itemid for itemid, item in self.items.items() if value.code in item.terms[value.term]}

    def by_frequency(self) -> list[Value]:
        """The values of the first term that has a column for each, those of the most items first."""
        terms = self.schema.terms
        first = next((place for place, term in enumerate(terms) if term.windowed), None)
        if first is None:
            return []
        counts = Counter(code for item in self.items.values() for code in item.terms[first])
        return [Value(first, code) for code, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a term.

    Attributes:
        term: place in the terms of the schema.
        code: of the value.
    """

    term: int
    code: int

    def name(self, schema: Schema) -> str:
        """Its name."""
        return schema.terms[self.term].values[self.code]


Change = Callable[[Stream, np.random.Generator], list[ScenarioEvent]]
"""Takes a stream and random numbers; returns all events, each as it is once the scenario has begun."""


def scenarios(schema: Schema) -> dict[str, Change]:
    """The scenarios of a data set, by name."""
    booms: dict[str, Change] = {f"{term.singular}-boom": _boom for term in _first_term(schema)}
    return {
        "none": _none,
        "inverted": _inverted,
        **booms,
        "new-users": _new_users,
        "broken-constant": _broken(How.CONSTANT),
        "broken-missing": _broken(How.MISSING),
        "broken-scaled": _broken(How.SCALED),
        "popularity-collapse": _popularity_collapse,
    }


def scenario(
    name: str, schema: Schema, events: Sequence[Event], items: Mapping[Id, Item], begin: int, seed: int
) -> list[ScenarioEvent]:
    """The events, those from the place `begin` on as the scenario has them.

    Args:
        name: one of `scenarios`.
        schema: of the data set.
        events: in the order of their replay.
        items: the catalogue.
        begin: place of the first event that changes.
        seed: of all random choices; they depend on an event's place, and not on `begin`.

    Raises:
        ScenarioError: if the data set has no such scenario.
    """
    known = scenarios(schema)
    if name not in known:
        raise ScenarioError(f"there is no scenario {name!r}; choose one of {', '.join(known)}")
    plain = [ScenarioEvent(event) for event in events[:begin]]
    if begin >= len(events):
        return plain
    changed = known[name](Stream(schema, events, items), np.random.default_rng(seed))[begin:]
    marks = () if name == "none" else ((HEADER, name.encode()),)
    return plain + [replace(sent, headers=sent.headers + marks) for sent in changed]


def inverted_value(stream: Stream) -> Value | None:
    """The value whose events are inverted: that of the most items. None: all events are."""
    return next(iter(stream.by_frequency()), None)


def booming_value(stream: Stream) -> Value | None:
    """The value that booms: not that of the most items, and no rare one. None: no item has a value."""
    values = stream.by_frequency()
    return values[max((len(values) - 1) // 3, min(1, len(values) - 1))] if values else None


def _first_term(schema: Schema) -> list[Attribute]:
    return list(schema.windowed[:1])


def _none(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    return [ScenarioEvent(event) for event in stream.events]


def _inverted(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    """Users who liked items of a value now dislike them, and the other way round."""
    value = inverted_value(stream)
    chosen = stream.items_of(value) if value else {event.itemid for event in stream.events}
    opposite = _opposites(stream)
    return [ScenarioEvent(opposite(event) if event.itemid in chosen else event) for event in stream.events]


def _opposites(stream: Stream) -> Callable[[Event], Event]:
    """A function that turns an event into its opposite.

    A value that its code tells is mirrored within those of its type. Any other event becomes what the most events of
    the other kind are: a positive one what is not positive, and the other way round.
    """
    codes = stream.schema.codes
    typical = dict[bool, tuple[int, float | None]]()
    for (code, value), _ in Counter((event.code, event.value) for event in stream.events).most_common():
        typical.setdefault(codes.positive[code], (code, value))

    def opposite(event: Event) -> Event:
        if codes.value(event.code) is None:
            code, value = typical.get(not codes.positive[event.code], (event.code, event.value))
            return replace(event, code=code, value=value)
        of_type = [code for code in range(1, codes.size) if codes.type(code) == codes.type(event.code)]
        return replace(event, code=of_type[0] + of_type[-1] - event.code)

    return opposite


def _boom(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    """Many turn to items of a value, drawn by how often they have events."""
    value = booming_value(stream)
    chosen = stream.items_of(value) if value else set(stream.items)
    return _other_items(stream.events, chosen, rng)


def _popularity_collapse(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    """Many turn to items that hardly anybody knew: of the rarer half of the catalogue, all alike."""
    n = Counter(event.itemid for event in stream.events)
    in_order: list[Id] = sorted(stream.items)
    rare = sorted(in_order, key=lambda itemid: n[itemid])[: max(1, len(in_order) // 2)]
    taken, drawn = rng.random(len(stream.events)) < SHARE, rng.choice(len(rare), len(stream.events))
    return _with_items(stream.events, taken, [rare[place] for place in drawn.tolist()])


def _new_users(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
    """Many events are of users whom nobody knows, each with a history of its own."""
    users: list[Id] = sorted({event.userid for event in stream.events})
    new = (rng.random(len(users)) < SHARE).tolist()
    chosen = [userid for userid, is_new in zip(users, new, strict=True) if is_new]
    ids = _unknown_ids(stream.schema.user_ids, chosen, users)
    return [ScenarioEvent(replace(event, userid=ids.get(event.userid, event.userid))) for event in stream.events]


def _unknown_ids(kind: IdKind, chosen: Iterable[Id], known: Iterable[Id]) -> dict[Id, Id]:
    """An id that nobody has for each of some."""
    taken, ids = {*known}, dict[Id, Id]()
    for userid in chosen:
        new, number = userid, 0
        while new in taken:
            number += 1
            if kind is IdKind.INTEGER:
                new = (int(userid) + number * NEW - 1) % MAX_ID + 1
            else:
                new = f"new-{number}-{userid}"[:MAX_ID_LENGTH]
        taken.add(new)
        ids[userid] = new
    return ids


def _broken(how: How) -> Change:
    def change(stream: Stream, rng: np.random.Generator) -> list[ScenarioEvent]:
        header = Broken(FEATURE, how).header()
        return [ScenarioEvent(event, (header,)) for event in stream.events]

    return change


def _other_items(events: Sequence[Event], chosen: set[Id], rng: np.random.Generator) -> list[ScenarioEvent]:
    among = [event.itemid for event in events if event.itemid in chosen] or sorted(chosen)
    taken, drawn = rng.random(len(events)) < SHARE / 2, rng.choice(len(among), len(events))
    return _with_items(events, taken, [among[place] for place in drawn.tolist()])


def _with_items(events: Sequence[Event], taken: npt.NDArray[np.bool_], drawn: Sequence[Id]) -> list[ScenarioEvent]:
    return [
        ScenarioEvent(replace(event, itemid=itemid) if take else event)
        for event, take, itemid in zip(events, taken.tolist(), drawn, strict=True)
    ]
