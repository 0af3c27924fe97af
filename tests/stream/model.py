"""The expected state, from the events in the order of the log: no fold, no deliveries."""

from __future__ import annotations

from collections.abc import Iterable

from features import GENRES, LIKED, RECENT, Event, Item, ItemCounter, Profile, Rated
from features.catalogue import DECADES
from features.counters import WEEK, WEEKS


def ratings_of(events: Iterable[Event]) -> dict[int, dict[int, Rated]]:
    """The latest rating of each user and item; of two at the same time the last in the log."""
    found: dict[int, dict[int, Rated]] = {}
    for event in sorted(events, key=lambda event: event.ts):
        found.setdefault(event.userid, {})[event.itemid] = (event.ts, event.rating)
    return found


def profile_of(events: list[Event], items: dict[int, Item]) -> Profile:
    """The profile of one user, whose events these are; `version` is left at 0."""
    (rated,) = ratings_of(events).values()
    profile = Profile(events[0].userid)
    profile.n = len(rated)
    profile.likes = sum(rating >= LIKED for _, rating in rated.values())
    profile.first_ts = min(event.ts for event in events)
    profile.last_ts = max(ts for ts, _ in rated.values())
    profile.recent = sorted((ts, itemid, rating) for itemid, (ts, rating) in rated.items())[-RECENT:]
    liked = {itemid for itemid, (_, rating) in rated.items() if rating >= LIKED}
    for genre in range(len(GENRES)):
        of_genre = {itemid for itemid in rated if genre in items[itemid].genres}
        profile.genre_n[genre], profile.genre_likes[genre] = len(of_genre), len(of_genre & liked)
    for decade in range(DECADES):
        of_decade = {itemid for itemid in rated if items[itemid].decade == decade}
        profile.decade_n[decade], profile.decade_likes[decade] = len(of_decade), len(of_decade & liked)
    return profile


def counters_of(events: Iterable[Event]) -> dict[int, ItemCounter]:
    """The counters of each item."""
    found: dict[int, ItemCounter] = {}
    for of_user in ratings_of(events).values():
        for itemid, (ts, rating) in of_user.items():
            counter = found.setdefault(itemid, ItemCounter())
            counter.n += 1
            counter.likes += rating >= LIKED
            counter.last_ts = max(counter.last_ts, ts)
            week = counter.weeks.setdefault(ts // WEEK, [0, 0])
            week[0] += 1
            week[1] += rating >= LIKED
    for counter in found.values():
        oldest = counter.last_ts // WEEK - WEEKS + 1
        counter.weeks = {week: counts for week, counts in counter.weeks.items() if week >= oldest}
    return found
