"""The weights of terms in the obvious way: all events that count, from scratch, in fractions."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import floor

from features import Event, Item, Schema


def obvious_weights(schema: Schema, counted: Iterable[tuple[Event, Item]], first_ts: int) -> list[dict[int, int]]:
    """The weights of a user's terms.

    Args:
        schema: of the data set.
        counted: the events that count, each with its item as it was then.
        first_ts: time of the first event, whether it still counts or not.
    """
    codes, sums = schema.codes, [dict[int, Fraction]() for _ in schema.terms]
    for event, item in counted:
        half_lives = Fraction(event.ts, codes.half_life_s)
        whole, step = floor(half_lives), floor(half_lives % 1 * 64)
        power = codes.term_weights[event.code] * round(4096 * 2 ** (step / 64))
        for of_term, values in zip(sums, item.terms, strict=True):
            for value in values:
                added = floor(Fraction(power, len(values))) * Fraction(2) ** (whole - first_ts // codes.half_life_s)
                of_term[value] = of_term.get(value, Fraction(0)) + added
    assert all(weight.denominator == 1 for of_term in sums for weight in of_term.values())
    return [{value: int(weight) for value, weight in of_term.items() if weight} for of_term in sums]
