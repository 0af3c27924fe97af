"""Windows: what the last events of a user add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from features.dataset.codes import Codes
from features.layer import Items, item_at, published
from features.profile import RECENT, Profile
from features.tally import LIMIT, unpack


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

    def __reduce__(self) -> str:
        # Windows are compared by identity, in other processes too.
        return f"LAST_{self.events}"


LAST_10 = Window(10)
LAST_30 = Window(30)

WINDOWS = (LAST_10, LAST_30)
"""All windows, the shortest first."""


class Totals(NamedTuple):
    """Totals of a window.

    Attributes:
        n: events.
        likes: of these, positive ones.
        terms_n: events by value of all windowed terms one after the other, a byte each; an event counts to every value
            of its item.
        terms_likes: positive events by value.
    """

    n: int
    likes: int
    terms_n: bytes
    terms_likes: bytes


def totals(profile: Profile, items: Items, codes: Codes, values: int) -> dict[Window, Totals]:
    """Add up the last events for every window, in one pass from the newest event back.

    Args:
        profile: the user's profile.
        items: the items of its last events, each event's as it was counted.
        codes: the codes of events.
        values: how many places the windowed terms have together.
    """
    positive, recent, counted, base = codes.positive, profile.recent, profile.counted, published(items)
    by_window: dict[Window, Totals] = {}
    all_events = all_likes = 0
    end = len(recent)
    for window in WINDOWS:
        begin = max(0, len(recent) - window.events)
        for event in recent[begin:end]:
            if counted and event in counted:
                tally = item_at(items, event[1], counted[event]).tally
            else:
                tally = base[event[1]].tally
            all_events += tally
            if positive[event[2]]:
                all_likes += tally
        end = begin
        events, likes = unpack(all_events, 1 + values), unpack(all_likes, 1 + values)
        by_window[window] = Totals(events[0], likes[0], events[1:], likes[1:])
    return by_window
