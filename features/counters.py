"""The fold of events into an item's counters.

Each shard counts the events of its own users; the counters of an item are the sum over the shards. Recent popularity
is kept as whole weeks of event time, so that it is exact whatever the order of the events.

In a shard, the counters of an item follow from the latest events of each type that its users have with it, in any
order, and from nothing else. So those of a user can be taken out again, as if they had never been.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from features.dataset.codes import Codes
from features.seen import Rated

WEEK = 7 * 24 * 3600
WEEKS = 8
"""Weeks kept: the one of the latest event and those before it."""


@dataclass(slots=True)
class ItemCounter:
    """Counters of an item.

    Attributes:
        n: users with an event of it; a user counts once for each type of event.
        likes: of these, those whose latest event of the type is positive.
        last_ts: latest event time in unix seconds.
        weeks: week number (ts // WEEK) -> [events, positive ones], for the last WEEKS weeks up to that of `last_ts`.
    """

    n: int = 0
    likes: int = 0
    last_ts: int = 0
    weeks: dict[int, list[int]] = field(default_factory=dict)

    @property
    def recent_n(self) -> int:
        """Events in the kept weeks."""
        return sum(week[0] for week in self.weeks.values())

    @property
    def recent_likes(self) -> int:
        """Positive events in the kept weeks."""
        return sum(week[1] for week in self.weeks.values())


def count(codes: Codes, counter: ItemCounter, before: Rated | None, after: Rated) -> None:
    """Count the latest event of a user, an item and a type, in place.

    Args:
        codes: the codes of events.
        counter: the item's counter in the shard of the user.
        before: the event that was the latest before, None where there was none.
        after: the event that is the latest now.
    """
    if before is not None:
        _add(codes, counter, before, -1)
    _add(codes, counter, after, 1)
    counter.last_ts = max(counter.last_ts, after[0])
    _trim(counter)


def subtract(codes: Codes, counter: ItemCounter, rated: Rated) -> None:
    """Take an event that is not the item's latest one out of an item's counters, in place.

    Without the latest one, the time of the one before it, and weeks that were too old to be kept, must be known, so
    that the item is counted again (see `count_all`).
    """
    _add(codes, counter, rated, -1)


def count_all(codes: Codes, events: Iterable[Rated]) -> ItemCounter:
    """The counters of an item from the latest events of its users.

    >>> from features.dataset import Condition, Feedback
    >>> count_all(Codes({"like": Feedback(positive=Condition("always"))}), [(100, 1), (50, 1)])
    ItemCounter(n=2, likes=2, last_ts=100, weeks={0: [2, 2]})
    """
    counter = ItemCounter()
    for rated in events:
        _add(codes, counter, rated, 1)
        counter.last_ts = max(counter.last_ts, rated[0])
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


def _add(codes: Codes, counter: ItemCounter, rated: Rated, by: int) -> None:
    ts, code = rated
    positive = by if codes.positive[code] else 0
    counter.n += by
    counter.likes += positive
    if by < 0 and ts // WEEK not in counter.weeks:
        return
    week = counter.weeks.setdefault(ts // WEEK, [0, 0])
    week[0] += by
    week[1] += positive
    if week == [0, 0]:
        del counter.weeks[ts // WEEK]


def _trim(counter: ItemCounter) -> None:
    oldest = counter.last_ts // WEEK - WEEKS + 1
    for week in [week for week in counter.weeks if week < oldest]:
        del counter.weeks[week]
