"""The types of events and what each says, when a description is drafted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from features.dataset.feedback import ALWAYS
from features.dataset.references import RESERVED_TYPES
from offline.data import draft_words as words
from offline.data.draft_columns import Column
from offline.data.draft_files import Table
from offline.data.draft_roles import Roles

MOST_TYPES = 20
"""Most values of a column that holds the types of events."""

SCALES = ((1, 5), (0.5, 5), (0, 5), (1, 10), (0, 10), (0, 1), (0, 100))
"""Usual bounds of ratings."""

GOOD = 0.75
"""Share of a scale from which on a rating is positive: 4 of 1 to 5."""

EXPOSURE, POSITIVE, STRONG, NEGATIVE = range(4)


@dataclass(frozen=True)
class Source:
    """A table of events.

    Attributes:
        table: the table.
        type: column with the types; empty where all events are of one.
        names: types by their texts.
        value: column with ratings, if any.
    """

    table: Table
    type: str
    names: dict[str, str]
    value: str


@dataclass(frozen=True)
class Type:
    """A type of events.

    Attributes:
        name: in the description.
        count: events of it.
        keys: of its table in the description, with their values as Python has them.
        notes: what was assumed of it.
    """

    name: str
    count: int
    keys: dict[str, object]
    notes: list[str] = field(default_factory=list)


def read_feedback(roles: Roles) -> tuple[list[Source], list[Type]]:
    """The sources of events and their types, those that say least first."""
    sources = [_source(table, roles) for table in roles.events]
    rated = next((source.table.columns[source.value] for source in sources if source.value), None)
    counts: dict[str, int] = {}
    for source in sources:
        if source.type:
            for text, count in zip(*source.table.columns[source.type].counts, strict=True):
                counts[source.names[text]] = counts.get(source.names[text], 0) + count
        else:
            name = source.names[""]
            counts[name] = counts.get(name, 0) + source.table.rows
    if rated is not None:
        (name,) = counts
        return sources, [_rating(name, rated, counts[name])]
    return sources, list(_types(counts))


def _source(table: Table, roles: Roles) -> Source:
    """The way in which the events of a table tell their types."""
    used = {roles.user, roles.item, roles.time}
    columns = [column for column in table.columns.values() if column.name not in used]
    kind = next(iter(sorted(filter(_holds_types, columns), key=_certainty)), None)
    if kind is not None:
        # Texts that differ in case or signs alone are of one type.
        return Source(table, kind.name, {text: _type_name(text, n) for n, text in enumerate(kind.distinct, 1)}, "")
    verb = _verb(table)
    ratings = [column for column in columns if _holds_ratings(column, named=verb is not None)]
    # Several tables of events are of several types, of which none is a rating among others.
    if ratings and len(roles.events) == 1:
        return Source(table, "", {"": "rating"}, ratings[0].name)
    return Source(table, "", {"": _type_name(verb or "interaction", 1)}, "")


def _verb(table: Table) -> str | None:
    """The word of a table's name that names a type of events, if any does."""
    parts = words.words(table.name)
    known = words.EXPOSURES | words.POSITIVE | words.STRONG | words.NEGATIVE
    return next((words.singular(part) for part in parts if words.singular(part) in known or part in known), None)


def _type_name(text: str, number: int) -> str:
    """A name for a type; its number stands for a text without Latin letters and digits."""
    return words.slug(text if words.words(text) else f"type {number}", RESERVED_TYPES, "event")


def _holds_types(column: Column) -> bool:
    """True for few texts of which some are known, or for few values of a column with a telling name."""
    few = 1 <= len(column.distinct) <= MOST_TYPES and not column.missing
    if column.named(words.TYPE):
        return few and not column.named(words.RATING)
    known = sum(_meaning(text) is not None for text in column.distinct)
    return few and column.numbers is None and 2 * known >= len(column.distinct)


def _certainty(column: Column) -> tuple[int, int]:
    known = sum(_meaning(text) is not None for text in column.distinct)
    return -known, -int(column.named(words.TYPE))


def _holds_ratings(column: Column, *, named: bool) -> bool:
    """True for numbers that are called ratings, or that are like them where the table does not name another type."""
    if column.numbers is None or column.missing or len(column.distinct) < 2:
        return False
    low, high = column.numbers.min(), column.numbers.max()
    if column.named(words.RATING):
        return bool(0 <= low < high <= 100)
    halves = bool((column.numbers * 2 == np.floor(column.numbers * 2)).all())
    like = halves and 0 <= low < high <= 10 and 2 < len(column.distinct) <= MOST_TYPES
    return like and not named and not column.named(words.AMOUNT)


def _rating(name: str, column: Column, count: int) -> Type:
    """The one type of events that are ratings."""
    assert column.numbers is not None
    low, high = float(column.numbers.min()), float(column.numbers.max())
    minimum, maximum = next(((a, b) for a, b in SCALES if a <= low and high <= b), (low, high))
    good = minimum + GOOD * (maximum - minimum)
    good = float(np.ceil(good)) if column.whole else good
    bounds: dict[str, object] = {"minimum": _plain(minimum), "maximum": _plain(maximum)}
    if column.whole:
        bounds["whole"] = True
    keys: dict[str, object] = {
        "value": bounds,
        "positive": f"value >= {good:g}",
        "negative": f"value < {good:g}",
        "identity": "replace",
    }
    notes = [
        f"{column.name!r}, from {low:g} to {high:g}, holds ratings of {minimum:g} to {maximum:g}",
        f"ratings of {good:g} and more are positive, all others negative",
        "a later rating of an item takes the place of the earlier one",
    ]
    return Type(name, count, keys, notes)


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _meaning(text: str) -> int | None:
    """The meaning of a type by its name; None where it is not known."""
    parts = words.words(text)
    if words.names(text, words.NEGATIVE) or parts[:1] in {("not",), ("un",)}:
        return NEGATIVE
    if words.names(text, words.STRONG):
        return STRONG
    if words.names(text, words.POSITIVE):
        return POSITIVE
    return EXPOSURE if words.names(text, words.EXPOSURES) else None


def _types(counts: dict[str, int]) -> Iterator[Type]:
    """The types, each with what it is taken to mean."""
    meaning = {name: _meaning(name) for name in counts}
    notes: dict[str, list[str]] = {name: [] for name in counts}
    for name, known in meaning.items():
        notes[name] += [] if known is not None else [f"{name!r} is not a known word"]
    known_positive = {POSITIVE, STRONG} & {*meaning.values()}
    commonest = max(counts, key=lambda name: counts[name])
    for name in counts:
        if meaning[name] is None:
            meaning[name] = EXPOSURE if known_positive or (name == commonest and len(counts) > 1) else POSITIVE
    if not {POSITIVE, STRONG} & {*meaning.values()}:
        # Models need something to learn: the rarest of what people do on their own says most.
        rarest = min((name for name in counts if meaning[name] == EXPOSURE), key=lambda name: counts[name], default="")
        meaning[rarest or commonest] = POSITIVE
        notes[rarest or commonest].append("no type is known to be positive, so this one is taken to be")
    strong = {POSITIVE, STRONG} <= {*meaning.values()}
    order = (EXPOSURE, NEGATIVE, POSITIVE, STRONG)
    for name in sorted(counts, key=lambda name: (order.index(meaning[name] or EXPOSURE), -counts[name])):
        counts_twice = strong and meaning[name] == STRONG
        yield Type(name, counts[name], *_keys(meaning[name] or EXPOSURE, counts_twice, notes[name]))


def _keys(meaning: int, counts_twice: bool, notes: list[str]) -> tuple[dict[str, object], list[str]]:
    """(keys, notes) of a type."""
    if meaning == EXPOSURE:
        return {"hides": False}, [*notes, "neither positive nor negative; the item may be recommended again"]
    if meaning == NEGATIVE:
        return {"negative": ALWAYS}, [*notes, "negative; the item is not recommended again"]
    keys: dict[str, object] = {"positive": ALWAYS}
    if counts_twice:
        keys["weight"] = 2.0
    words_ = "positive, and counts twice in training" if counts_twice else "positive"
    return keys, [*notes, f"{words_}; the item is not recommended again"]
