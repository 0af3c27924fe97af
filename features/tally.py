"""Small counts packed into one integer, a byte each, so that one addition adds them all.

The windows of a user's last events are summed again after every event, which is most of the work of a feature row.
"""

from __future__ import annotations

from collections.abc import Iterable

LIMIT = 255
"""Largest count that fits; sums of more ones would carry into the next count."""


def pack(places: Iterable[int]) -> int:
    """Counts that are 1 at some places and 0 elsewhere.

    >>> list(unpack(pack((0, 2)) + pack((2, 3)), 4))
    [1, 0, 2, 1]
    """
    return sum(1 << 8 * place for place in places)


def unpack(packed: int, length: int) -> bytes:
    """The first `length` counts, a byte each; all others must be 0."""
    return packed.to_bytes(length, "little")
