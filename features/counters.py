"""The fold of events into an item's counters.

Each shard counts the events of its own users; the counters of an item are the sum over the shards. Recent popularity
is kept as whole weeks of event time, so that it is exact whatever the order of the events.

In a shard, the counters of an item follow from its users' ratings of the item as they are now, in any order, and from
nothing else. So the ratings of a user can be taken out again, as if they had never been given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from features.event import LIKED, Event
from features.profile import Rated

WEEK = 7 * 24 * 3600
WEEKS = 8
"""Weeks kept: the one of the latest event and those before it."""


@dataclass(slots=True)
class ItemCounter:
    """Counters of an item.

    Attributes:
        n: users who rated it.
        likes: users who like it.
        last_ts: latest event time in unix seconds.
        weeks: week number (ts // WEEK) -> [ratings, likes], for the last WEEKS weeks up to that of `last_ts`.
    """

    n: int = 0
    likes: int = 0
    last_ts: int = 0
    weeks: dict[int, list[int]] = field(default_factory=dict)

    @property
    def recent_n(self) -> int:
        """Ratings in the kept weeks."""
        return sum(week[0] for week in self.weeks.values())

    @property
    def recent_likes(self) -> int:
        """Likes in the kept weeks."""
        return sum(week[1] for week in self.weeks.values())


def count(counter: ItemCounter, known: Rated | None, event: Event) -> None:
    """Count an event that `features.profile.fold` took as the user's rating of the item, in place.

    Args:
        counter: the item's counter in the shard of the event's user.
        known: the rating that the event replaces, None where it is the user's first of the item.
        event: the event.
    """
    if known is not None:
        _add(counter, *known, -1)
    _add(counter, event.ts, event.rating, 1)
    counter.last_ts = max(counter.last_ts, event.ts)
    _trim(counter)


def subtract(counter: ItemCounter, rated: Rated) -> None:
    """Take a rating that is not the latest one out of an item's counters, in place.

    Without the latest one, the time of the one before it, and weeks that were too old to be kept, must be known, so
    that the item is counted again (see `count_all`).
    """
    _add(counter, *rated, -1)


def count_all(ratings: Iterable[Rated]) -> ItemCounter:
    """The counters of an item from the ratings that its users have given it.

    >>> count_all([(100, 5), (50, 1)])
    ItemCounter(n=2, likes=1, last_ts=100, weeks={0: [2, 1]})
    """
    counter = ItemCounter()
    for ts, rating in ratings:
        _add(counter, ts, rating, 1)
        counter.last_ts = max(counter.last_ts, ts)
    _trim(counter)
    return counter


def merge(partials: Iterable[ItemCounter]) -> ItemCounter:
    """The counters of an item from those of each shard."""
    total = ItemCounter()
    for partial in partials:
        total.n += partial.n
        total.likes += partial.likes
        total.last_ts = max(total.last_ts, partial.last_ts)
        for week, (n, likes) in partial.weeks.items():
            kept = total.weeks.setdefault(week, [0, 0])
            kept[0] += n
            kept[1] += likes
    _trim(total)
    return total


def _add(counter: ItemCounter, ts: int, rating: int, by: int) -> None:
    liked = by if rating >= LIKED else 0
    counter.n += by
    counter.likes += liked
    if by < 0 and ts // WEEK not in counter.weeks:
        return
    week = counter.weeks.setdefault(ts // WEEK, [0, 0])
    week[0] += by
    week[1] += liked
    if week == [0, 0]:
        del counter.weeks[ts // WEEK]


def _trim(counter: ItemCounter) -> None:
    oldest = counter.last_ts // WEEK - WEEKS + 1
    for week in [week for week in counter.weeks if week < oldest]:
        del counter.weeks[week]
