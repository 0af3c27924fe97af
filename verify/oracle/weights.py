"""The weights of a term's values for a user, from all events that count.

* An event weighs as much as its type where it is positive, half of that against its item's values where it is negative,
  and a tenth of it where it is neither. Of the greatest of these weights in the data set it is so many 1,024ths, to the
  nearest.
* Time is cut into half-lives since 1970, and each of these into 64 steps. An event of a later step weighs more, by the
  64th root of 2 for each step, and so twice as much after a half-life. Within a half-life, the factor is so many
  4,096ths, to the nearest.
* The values of the item have equal parts of the product, rounded down; these are doubled for each half-life from that
  of the user's first event to that of this one.
* What is not 0 is stored as [code, weight, code, weight, ...], a weight of more than 64 bits as the fewest bytes that
  hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from verify.oracle.counting import Came
from verify.oracle.rules import Rules, Type

GREATEST = 1024
STEPS = 64
ROOTS = 6
"""Square roots of square roots that make the 64th root."""
ONE = 4096

Stored = list[int | bytes]


def weights(
    events: Iterable[Came], codes_of: Callable[[Came], Sequence[int]], first_ts: int, rules: Rules
) -> dict[int, int]:
    """The weights of a term's values, by code.

    Args:
        events: the events that count.
        codes_of: gives the codes of the values that an event's item had.
        first_ts: time of the user's first event.
        rules: the types of events, and the half-life.
    """
    found: dict[int, int] = {}
    first = first_ts // rules.half_life_s
    for event in events:
        half_life, rest = divmod(event.ts, rules.half_life_s)
        factor = part(event.type, event.code, rules) * power(rest * STEPS // rules.half_life_s)
        codes = codes_of(event)
        for code in codes:
            found[code] = found.get(code, 0) + math.floor(Fraction(factor, len(codes))) * 2 ** (half_life - first)
    return {code: weight for code, weight in sorted(found.items()) if weight != 0}


def part(of_type: Type, code: int, rules: Rules) -> int:
    """The weight of an event's code, in 1,024ths of the greatest."""
    exact = _exact(of_type, of_type.meanings[code - of_type.first][1])
    greatest = max(abs(_exact(each, meaning)) for each in rules.types for _, meaning in each.meanings)
    nearest = math.floor(abs(exact) / greatest * GREATEST + Fraction(1, 2))
    return -nearest if exact < 0 else nearest


def _exact(of_type: Type, meaning: str) -> Fraction:
    factor = {"positive": Fraction(1), "negative": Fraction(-1, 2), "exposure": Fraction(1, 10)}[meaning]
    return Fraction(of_type.fields.get("weight", 1)) * factor


def power(step: int) -> int:
    """2 to the power of a number of 64ths, in 4,096ths.

    >>> power(0), power(32), power(64)
    (4096, 5793, 8192)
    """
    twice: int = 2**step * (2 * ONE) ** STEPS
    for _ in range(ROOTS):
        twice = math.isqrt(twice)
    return (twice + 1) // 2


def stored(weights: dict[int, int]) -> Stored:
    """Weights as they are stored.

    >>> stored({3: -5, 7: 2**64, 9: 2**64 - 1})
    [3, -5, 7, b'\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00', 9, 18446744073709551615]
    """
    found: Stored = []
    for code, weight in sorted(weights.items()):
        found += [code, weight if -(2**63) <= weight < 2**64 else _bytes(weight)]
    return found


def _bytes(weight: int) -> bytes:
    length = 1
    while not -(2 ** (8 * length - 1)) <= weight < 2 ** (8 * length - 1):
        length += 1
    return weight.to_bytes(length, "big", signed=True)
