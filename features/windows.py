"""Windows: what the last events of a user add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from features.catalogue import GENRES, Item
from features.event import LIKED
from features.profile import RECENT, Recent
from features.tally import LIMIT, unpack

TALLY = 1 + len(GENRES)
"""Counts in the tally of an item: the item itself, then its genres."""


@dataclass(frozen=True, eq=False, slots=True)
class Window:
    """The last events of a user.

    Attributes:
        events: how many, at most those that a profile keeps.
    """

    events: int

    def __post_init__(self) -> None:
        if not 0 < self.events <= min(RECENT, LIMIT):
            raise ValueError(f"a window has 1 to {min(RECENT, LIMIT)} events, not {self.events}")


LAST_10 = Window(10)
LAST_30 = Window(30)

WINDOWS = (LAST_10, LAST_30)
"""All windows, the shortest first."""


class Totals(NamedTuple):
    """Totals of a window.

    Attributes:
        n: events.
        likes: of these, likes.
        genre_n: events by genre, [18], a byte each; an event counts to every genre of its item.
        genre_likes: likes by genre, [18], a byte each.
    """

    n: int
    likes: int
    genre_n: bytes
    genre_likes: bytes


def totals(recent: Sequence[Recent], items: Mapping[int, Item]) -> dict[Window, Totals]:
    """Add up the last events for every window, in one pass from the newest event back.

    Args:
        recent: events, oldest first.
        items: the items of the last events, by id.
    """
    by_window: dict[Window, Totals] = {}
    all_events = all_likes = 0
    end = len(recent)
    for window in WINDOWS:
        begin = max(0, len(recent) - window.events)
        for _, itemid, rating in recent[begin:end]:
            tally = items[itemid].tally
            all_events += tally
            if rating >= LIKED:
                all_likes += tally
        end = begin
        events, likes = unpack(all_events, TALLY), unpack(all_likes, TALLY)
        by_window[window] = Totals(events[0], likes[0], events[1:], likes[1:])
    return by_window
