"""Term weights: how much each value of the items' terms says of a user, decayed with time, as exact whole numbers.

An event adds its weight (`Codes.term_weights`) times 2**(ts / half-life) to the values of its item, split evenly. All
weights grow by the same factor in the same time, so their shares need no present moment: an event that is a half-life
older has half the share. Sums of whole numbers do not depend on their order, and an event that is taken back leaves
nothing behind.

Times count in steps of a half-life / STEPS, and powers of 2 from the half-life of the user's first event on, so that
weights are as long as the user's own history. A first event that comes late shifts all of them. What a value gets of an
event is rounded down to a whole number before it is shifted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.dataset.codes import Codes

STEPS = 64
"""Steps of time in a half-life, of whole days and so of whole seconds each; within one, all events weigh the same."""

PRECISION_BITS = 12
"""Binary digits of the powers of 2 between two half-lives."""

POWERS = tuple(round(2 ** (PRECISION_BITS + step / STEPS)) for step in range(STEPS))
"""2**(step / STEPS), times 2**PRECISION_BITS."""

Weights = list[dict[int, int]]
"""For each term attribute of items: {code of a value: weight}, without those of the weight 0."""


def weigh(
    codes: Codes, weights: Weights, first_ts: int, terms: Sequence[Sequence[int]], ts: int, code: int, by: int
) -> None:
    """Add an event to the weights, in place, or take it back.

    Args:
        codes: the codes of events.
        weights: of the user.
        first_ts: time of the user's first event in unix seconds.
        terms: the codes of the values of the event's item, for each term attribute.
        ts: the event's time in unix seconds, not before `first_ts`.
        code: the event's.
        by: 1 to add it, -1 to take it back.

    >>> from features.dataset import Condition, Feedback
    >>> codes, weights = Codes({"like": Feedback(positive=Condition("always"))}), [{}]
    >>> weigh(codes, weights, 0, [[0]], ts=0, code=1, by=1)
    >>> weigh(codes, weights, 0, [[0, 1]], ts=codes.half_life_s, code=1, by=1)
    >>> weights[0][0] == 2 * weights[0][1]
    True
    """
    half_life = codes.half_life_s
    steps = ts // (half_life // STEPS)
    # A profile that was lost, with a seen filter that is left, begins after the event that is taken back.
    half_lives = max(0, steps // STEPS - first_ts // half_life)
    weight = codes.term_weights[code] * POWERS[steps % STEPS]
    for of_attribute, values in zip(weights, terms, strict=True):
        if values:
            share = by * (weight // len(values)) << half_lives
            for value in values:
                if total := of_attribute.get(value, 0) + share:
                    of_attribute[value] = total
                else:
                    of_attribute.pop(value, None)


def begin_earlier(codes: Codes, weights: Weights, before_ts: int, first_ts: int) -> None:
    """Shift weights whose user's first event was at `before_ts`, and is now an earlier one; in place.

    Args:
        codes: the codes of events.
        weights: of the user.
        before_ts, first_ts: unix seconds.
    """
    half_lives = before_ts // codes.half_life_s - first_ts // codes.half_life_s
    if half_lives:
        for of_attribute in weights:
            for value in of_attribute:
                of_attribute[value] <<= half_lives


def meaning(codes: Codes) -> list[str]:
    """The constants from which weights follow, for the version of what is stored.

    >>> from features.dataset import Condition, Feedback
    >>> meaning(Codes({"view": Feedback(), "like": Feedback(positive=Condition("always"))}))
    ['weights 2592000/64 s, 12 bits', 'weight 102', 'weight 1024']
    """
    weighed = [f"weight {weight}" for weight in codes.term_weights[1:]]
    return [f"weights {codes.half_life_s}/{STEPS} s, {PRECISION_BITS} bits", *weighed]


def shares(weights: Mapping[int, int]) -> dict[int, float]:
    """The weights of an attribute as shares of the greatest magnitude, by ascending code.

    >>> shares({7: -2, 3: 4})
    {3: 1.0, 7: -0.5}
    """
    top = max(map(abs, weights.values()), default=1)
    return {value: weight / top for value, weight in sorted(weights.items())}
