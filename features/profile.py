"""The fold of events into a user's profile.

A profile holds only what follows from the user's events in the order of the log: of each item the latest rating in time
counts, and of those at the same second the last in the log. So the order of events with distinct times does not matter,
nor does the number of deliveries. `version` alone counts the changes in the order in which they came.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field, fields, replace
from typing import Any

from features.catalogue import DECADES, GENRES, Item
from features.event import LIKED, Event

RECENT = 100
"""Events that a profile keeps in full."""

Rated = tuple[int, int]
"""A user's rating of an item, as the seen filter holds it: (ts, rating)."""

Recent = tuple[int, int, int]
"""A kept event: (ts, itemid, rating), in this order of time."""


@dataclass(slots=True)
class Profile:
    """A user's profile.

    Attributes:
        userid: the user.
        version: changes so far.
        n: items rated.
        likes: items whose rating is a like.
        first_ts: earliest event time in unix seconds, 0 without events.
        last_ts: latest event time in unix seconds, 0 without events.
        genre_n: items rated by genre; an item counts to each of its genres.
        genre_likes: items liked by genre.
        decade_n: items rated by decade of release.
        decade_likes: items liked by decade of release.
        recent: the last RECENT events, oldest first.
    """

    userid: int
    version: int = 0
    n: int = 0
    likes: int = 0
    first_ts: int = 0
    last_ts: int = 0
    genre_n: list[int] = field(default_factory=lambda: [0] * len(GENRES))
    genre_likes: list[int] = field(default_factory=lambda: [0] * len(GENRES))
    decade_n: list[int] = field(default_factory=lambda: [0] * DECADES)
    decade_likes: list[int] = field(default_factory=lambda: [0] * DECADES)
    recent: list[Recent] = field(default_factory=list)

    def copy(self) -> Profile:
        """A copy that can be folded into while this one stays as it is."""
        values = ((column.name, getattr(self, column.name)) for column in fields(self))
        lists: dict[str, Any] = {name: value.copy() for name, value in values if isinstance(value, list)}
        return replace(self, **lists)


def supersedes(event: Event, known: Rated | None) -> bool:
    """Tell whether an event becomes its user's rating of its item: unless a later rating, or this very one, is known.

    >>> event = Event(7, 1, rating=5, ts=100)
    >>> [supersedes(event, known) for known in (None, (100, 4), (100, 5), (101, 4))]
    [True, True, False, False]
    """
    return known is None or (event.ts >= known[0] and (event.ts, event.rating) != known)


def fold(profile: Profile, known: Rated | None, event: Event, item: Item) -> bool:
    """Fold an event into its user's profile, in place.

    Args:
        profile: the profile of the event's user.
        known: what the seen filter holds for the event's item, None where the user has not rated it.
        event: the event.
        item: the event's item.

    Returns:
        Whether the event is now the user's rating of the item (see `supersedes`), so that the seen filter and the
        item's counters must follow.
    """
    if not supersedes(event, known):
        if event.ts < profile.first_ts:
            profile.first_ts = event.ts
            profile.version += 1
        return False
    if known is not None:
        _count(profile, item, known[1], -1)
        _forget(profile.recent, (known[0], item.itemid, known[1]))
    _count(profile, item, event.rating, 1)
    profile.first_ts = min(profile.first_ts, event.ts) if profile.version else event.ts
    profile.last_ts = max(profile.last_ts, event.ts)
    insort(profile.recent, (event.ts, event.itemid, event.rating))
    if len(profile.recent) > RECENT:
        del profile.recent[0]
    profile.version += 1
    return True


def _count(profile: Profile, item: Item, rating: int, by: int) -> None:
    liked = by if rating >= LIKED else 0
    profile.n += by
    profile.likes += liked
    for genre in item.genres:
        profile.genre_n[genre] += by
        profile.genre_likes[genre] += liked
    profile.decade_n[item.decade] += by
    profile.decade_likes[item.decade] += liked


def _forget(recent: list[Recent], event: Recent) -> None:
    place = bisect_left(recent, event)
    if place < len(recent) and recent[place] == event:
        del recent[place]
