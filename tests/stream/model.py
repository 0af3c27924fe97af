"""The expected state, from the events in the order of the log: no fold, no deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from features import RECENT, Codes, Event, Id, Item, ItemCounter, Profile, Schema, Seen
from features.counters import WEEK, WEEKS
from tests.weights import obvious_weights


def latest_of(codes: Codes, events: Iterable[Event]) -> dict[Id, dict[Id, dict[str, Event]]]:
    """The latest event of each user, item and type; of two at the same time the last in the log."""
    found: dict[Id, dict[Id, dict[str, Event]]] = {}
    for event in sorted(events, key=lambda event: event.ts):
        found.setdefault(event.userid, {}).setdefault(event.itemid, {})[codes.type(event.code)] = event
    return found


def seen_of(codes: Codes, events: Iterable[Event]) -> dict[Id, dict[Id, Seen]]:
    """The seen filters."""
    return {
        userid: {
            itemid: tuple((by_type[name].ts, by_type[name].code) for name in codes.types if name in by_type)
            for itemid, by_type in by_item.items()
        }
        for userid, by_item in latest_of(codes, events).items()
    }


def counted(codes: Codes, events: Sequence[Event]) -> list[Event]:
    """The events of one user that count: the latest where they replace each other, else all that repeat none.

    An event repeats the one that was the latest of its item and type when it came, if it says the same at that time.
    """
    (by_item,) = latest_of(codes, events).values()
    kept = [event for by_type in by_item.values() for event in by_type.values() if codes.replaces[event.code]]
    latest: dict[tuple[Id, str], Event] = {}
    for event in events:
        if codes.replaces[event.code]:
            continue
        known = latest.get((event.itemid, codes.type(event.code)))
        if event != known:
            kept.append(event)
            if known is None or event.ts >= known.ts:
                latest[event.itemid, codes.type(event.code)] = event
    return kept


def profile_of(schema: Schema, events: Sequence[Event], items: Mapping[Id, Item]) -> Profile:
    """The profile of one user, whose events these are; `version` is left at 0."""
    positive = schema.codes.positive
    kept = counted(schema.codes, events)
    profile = Profile(events[0].userid)
    profile.n = len(kept)
    profile.likes = sum(positive[event.code] for event in kept)
    profile.first_ts = min(event.ts for event in events)
    profile.last_ts = max(event.ts for event in kept)
    profile.recent = sorted((event.ts, event.itemid, event.code) for event in kept)[-RECENT:]
    profile.weights = obvious_weights(schema, [(event, items[event.itemid]) for event in kept], profile.first_ts)
    for place, term in enumerate(schema.terms):
        values = [(event, code) for event in kept for code in items[event.itemid].terms[place]]
        for of_kind in (values, [(event, code) for event, code in values if positive[event.code]]):
            codes = [code for _, code in of_kind]
            profile.tallies.append([codes.count(code) for code in range(term.length)])
    return profile


def counters_of(codes: Codes, events: Iterable[Event]) -> dict[Id, ItemCounter]:
    """The counters of each item."""
    found: dict[Id, ItemCounter] = {}
    for by_item in seen_of(codes, events).values():
        for itemid, seen in by_item.items():
            counter = found.setdefault(itemid, ItemCounter())
            for ts, code in seen:
                counter.n += 1
                counter.likes += codes.positive[code]
                counter.last_ts = max(counter.last_ts, ts)
                week = counter.weeks.setdefault(ts // WEEK, [0, 0])
                week[0] += 1
                week[1] += codes.positive[code]
    for counter in found.values():
        oldest = counter.last_ts // WEEK - WEEKS + 1
        counter.weeks = {week: counts for week, counts in counter.weeks.items() if week >= oldest}
    return found
