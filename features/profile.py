"""The fold of events into a user's profile.

A profile holds only what follows from the user's events in the order of the log: of those with one item and of one type
that replace each other, the latest in time counts, and of those at the same second the last in the log. So the order of
events with distinct times does not matter, nor does the number of deliveries. `version` alone counts the changes in the
order in which they came.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field, fields, replace

from features.catalogue import Item
from features.dataset.codes import Codes
from features.event import Event
from features.ids import Id
from features.layer import Items, Layer, item_at, published, revision_of
from features.seen import Rated, supersedes
from features.weights import Weights, begin_earlier, weigh

RECENT = 100
"""Events that a profile keeps in full."""

Recent = tuple[int, Id, int]
"""A kept event: (ts, itemid, code), in this order of time."""


@dataclass(slots=True)
class Profile:
    """A user's profile; `Schema.profile` makes an empty one.

    Attributes:
        userid: the user.
        version: changes so far.
        n: events that count.
        likes: positive events that count.
        first_ts: earliest event time in unix seconds, 0 without events.
        last_ts: latest event time in unix seconds, 0 without events.
        tallies: for each term attribute of items two lists: events that count, and positive ones, by value; an event
            counts to each value of its item.
        recent: the last RECENT events, oldest first.
        counted: the revision of the item's attributes that an event was counted under, where that is not 0 (see
            `features.layer`): of the events in `recent`, and of those that a later one takes the place of.
    """

    userid: Id
    version: int = 0
    n: int = 0
    likes: int = 0
    first_ts: int = 0
    last_ts: int = 0
    tallies: list[list[int]] = field(default_factory=list)
    weights: Weights = field(default_factory=list)
    recent: list[Recent] = field(default_factory=list)
    counted: dict[Recent, int] = field(default_factory=dict)

    def copy(self) -> Profile:
        """A copy that can be folded into while this one stays as it is."""
        tallies, weights = [tally.copy() for tally in self.tallies], [each.copy() for each in self.weights]
        return replace(self, tallies=tallies, weights=weights, recent=self.recent.copy(), counted=self.counted.copy())


NUMBERS = tuple(
    field.name for field in fields(Profile) if field.name not in {"tallies", "weights", "recent", "counted"}
)
"""The fields of a profile that are numbers or ids; `Schema.profile_fields` names all."""


def fold(codes: Codes, profile: Profile, rated: Rated | None, event: Event, items: Items) -> bool:
    """Fold an event into its user's profile, in place.

    Args:
        codes: the codes of events.
        profile: the profile of the event's user.
        rated: what the seen filter holds of the event's item and type, None where there is nothing.
        event: the event.
        items: the catalogue as it stands at the event; it must have the event's item.

    Returns:
        Whether the event counts (see `supersedes`), so that the seen filter and the item's counters must follow.
    """
    if not supersedes(codes, event, rated):
        if event.ts < profile.first_ts:
            _begin(codes, profile, event.ts)
            profile.version += 1
        return False
    itemid, counted = event.itemid, profile.counted
    if event.ts < profile.first_ts or not profile.version:
        _begin(codes, profile, event.ts)
    if rated is not None and codes.replaces[event.code]:
        before = (rated[0], itemid, rated[1])
        _count(codes, profile, item_at(items, itemid, counted.pop(before, 0)), before, -1)
        _forget(profile.recent, before)
    kept = (event.ts, itemid, event.code)
    _count(codes, profile, items[itemid], kept, 1)
    if revision := revision_of(items, itemid):
        counted[kept] = revision
    profile.last_ts = max(profile.last_ts, event.ts)
    insort(profile.recent, kept)
    if len(profile.recent) > RECENT:
        gone = profile.recent.pop(0)
        # An event that replaces others can be taken back at any time.
        if not codes.replaces[gone[2]] and gone != profile.recent[0]:
            counted.pop(gone, None)
    profile.version += 1
    return True


def lacks(items: Items, profile: Profile) -> set[Id]:
    """The items of a profile's events that a catalogue does not have as they were counted.

    A layer that is older than the profile may lack some, and is to be read again.
    """
    counted = profile.counted
    changed = items.changed if isinstance(items, Layer) else {}
    missing = {
        itemid
        for (_, itemid, _), revision in counted.items()
        if itemid not in changed or revision not in changed[itemid].counted
    }
    base = published(items)
    return missing | {event[1] for event in profile.recent if event[1] not in base and event not in counted}


def _begin(codes: Codes, profile: Profile, first_ts: int) -> None:
    """Have a profile begin with an event at this time."""
    begin_earlier(codes, profile.weights, profile.first_ts, first_ts)
    profile.first_ts = first_ts


def _count(codes: Codes, profile: Profile, item: Item, event: Recent, by: int) -> None:
    ts, _, code = event
    positive = codes.positive[code]
    profile.n += by
    if positive:
        profile.likes += by
    tallies = profile.tallies
    for place, values in enumerate(item.terms):
        n, likes = tallies[2 * place], tallies[2 * place + 1]
        for value in values:
            n[value] += by
            if positive:
                likes[value] += by
    weigh(codes, profile.weights, profile.first_ts, item.terms, ts, code, by)


def _forget(recent: list[Recent], event: Recent) -> None:
    place = bisect_left(recent, event)
    if place < len(recent) and recent[place] == event:
        del recent[place]
