"""The seen filter: what is known of a user and an item, which is the latest event of each type.

Of two events of one type the later in time counts, and of those at the same second the last in the log.
"""

from __future__ import annotations

from collections.abc import Iterable

from features.dataset.codes import Codes
from features.event import Event

Rated = tuple[int, int]
"""The latest event of a type: (ts, code)."""

Seen = tuple[Rated, ...]
"""The latest events of a user with an item, one of each type that there is, in the order of the types."""


def known(seen: Seen | None, code: int, codes: Codes) -> Rated | None:
    """The latest event of the type of a code; None where there is none."""
    if not seen:
        return None
    if codes.single:
        return seen[0]
    number = codes.type_number
    return next((rated for rated in seen if number[rated[1]] == number[code]), None)


def supersedes(codes: Codes, event: Event, rated: Rated | None) -> bool:
    """Tell whether an event counts, when `rated` is known of its user, item and type.

    One that replaces the earlier does unless a later one, or this very one, is known; one that accumulates does unless
    it is this very one.

    >>> from features.dataset import Feedback
    >>> codes = Codes({"view": Feedback(), "like": Feedback(identity="replace")})
    >>> [supersedes(codes, Event(7, 1, 2, ts=100), rated) for rated in (None, (100, 2), (101, 2))]
    [True, False, False]
    >>> [supersedes(codes, Event(7, 1, 1, ts=100), rated) for rated in (None, (100, 1), (101, 1))]
    [True, False, True]
    """
    if rated is None:
        return True
    if (event.ts, event.code) == rated:
        return False
    return event.ts >= rated[0] or not codes.replaces[event.code]


def later(event: Event, rated: Rated | None) -> Rated:
    """The latest event of a type after an event that counts."""
    if rated is None or event.ts >= rated[0]:
        return event.ts, event.code
    return rated


def with_rated(codes: Codes, seen: Seen | None, rated: Rated) -> Seen:
    """The latest events of a user with an item, with that of one type replaced."""
    if not seen or codes.single:
        return (rated,)
    number = codes.type_number
    others = [known_ for known_ in seen if number[known_[1]] != number[rated[1]]]
    return tuple(sorted([*others, rated], key=lambda known_: number[known_[1]]))


def hidden(codes: Codes, seen: Iterable[Rated]) -> bool:
    """Return True if an event that hides the item is known."""
    hides = codes.hides
    return any(hides[code] for _, code in seen)
