"""Counts: the numbers that follow from the events of a user or of an item, each declared once.

A count has a field in the feature row of its user or item. The formulas of `features.declarations` are over counts.
Feature rows, the columns of event batches, the views in Feast, the documentation and the version of the stored state
are derived from the tables here, which themselves follow from the attributes of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from features import attributes
from features.catalogue import Item, User
from features.counters import WEEKS, ItemCounter
from features.profile import Profile
from features.windows import LAST_10, LAST_30, Totals, Window

Value = int | Sequence[int]
"""A number, or a list of them."""


@dataclass(frozen=True)
class Count:
    """A count.

    Attributes:
        name: of its field in the feature row. Give a count whose meaning changes another name: the version of the
            stored state follows from the names.
        description: one sentence.
        length: 1 for a number, else the length of the list.
        in_formulas: whether formulas may use it. They may not use what is not kept as of the moment before each event.
    """

    name: str
    description: str
    length: int = 1
    in_formulas: bool = True


Windows = Mapping[Window, Totals]


@dataclass(frozen=True)
class UserCount(Count):
    """A count of a user, computed from the profile and the totals of its windows."""

    value: Callable[[Profile, Windows], Value] = field(kw_only=True)


@dataclass(frozen=True)
class ItemCount(Count):
    """A count of an item, computed from its counters, which are summed over the shards."""

    value: Callable[[ItemCounter], int] = field(kw_only=True)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a user or an item, as rows and formulas take it.

    Attributes:
        name: of its field in the feature row.
        description: one sentence.
        length: 1 for a number. For codes of values their number; formulas get 1 at these codes, and else 0.
        in_row: whether the feature row has it. What follows from another attribute, it has not.
        whole: False for numbers with fractions.
    """

    name: str
    description: str
    length: int = 1
    in_row: bool = True
    whole: bool = True


@dataclass(frozen=True)
class UserAttribute(Attribute):
    """An attribute of a user: an input of the ranker by itself, which formulas may not use."""

    value: Callable[[User], int] = field(kw_only=True)


@dataclass(frozen=True)
class ItemAttribute(Attribute):
    """An attribute of an item, which formulas may use."""

    value: Callable[[Item], float | list[int]] = field(kw_only=True)


def user_counts(terms: Sequence[attributes.Attribute]) -> tuple[UserCount, ...]:
    """The counts of a user, in a data set whose items have these terms."""
    windowed = [(place, term) for place, term in enumerate(terms) if term.windowed]
    others = [(place, term) for place, term in enumerate(terms) if not term.windowed]
    return (
        UserCount("version", "Changes of the profile.", in_formulas=False, value=lambda profile, last: profile.version),
        UserCount("n", "Events of the user that count.", value=lambda profile, last: profile.n),
        UserCount("likes", "Positive events of the user that count.", value=lambda profile, last: profile.likes),
        *_in_window(LAST_10),
        *_in_window(LAST_30),
        UserCount(
            "first_ts", "Time of the first event, in unix seconds.", value=lambda profile, last: profile.first_ts
        ),
        UserCount("last_ts", "Time of the latest event, in unix seconds.", value=lambda profile, last: profile.last_ts),
        *(count for place, term in windowed for count in _by_term(place, term)),
        *_by_term_in_window(LAST_30, [term for _, term in windowed]),
        *(count for place, term in others for count in _by_term(place, term)),
    )


def _in_window(window: Window) -> tuple[UserCount, UserCount]:
    events = window.events
    return (
        UserCount(
            f"n{events}",
            f"Events in the window of the user's last {events}; fewer while there are not so many.",
            value=lambda profile, last: last[window].n,
        ),
        UserCount(
            f"likes{events}",
            f"Positive events among the user's last {events}.",
            value=lambda profile, last: last[window].likes,
        ),
    )


def _by_term(place: int, term: attributes.Attribute) -> tuple[UserCount, UserCount]:
    n, likes = 2 * place, 2 * place + 1
    return (
        UserCount(
            f"{term.singular}_n",
            f"Events of the user that count, by {term.singular}.",
            term.length,
            value=lambda profile, last: profile.tallies[n],
        ),
        UserCount(
            f"{term.singular}_likes",
            f"Positive events of the user that count, by {term.singular}.",
            term.length,
            value=lambda profile, last: profile.tallies[likes],
        ),
    )


def _by_term_in_window(window: Window, windowed: Sequence[attributes.Attribute]) -> Iterator[UserCount]:
    first = 0
    for term in windowed:
        part = slice(first, first + term.length)
        yield UserCount(
            f"{term.singular}_n{window.events}",
            f"The user's last {window.events} events, by {term.singular}.",
            term.length,
            value=lambda profile, last, part=part: last[window].terms_n[part],  # type: ignore[misc]
        )
        yield UserCount(
            f"{term.singular}_likes{window.events}",
            f"Positive events among the user's last {window.events}, by {term.singular}.",
            term.length,
            value=lambda profile, last, part=part: last[window].terms_likes[part],  # type: ignore[misc]
        )
        first += term.length


ITEM_COUNTS = (
    ItemCount("n", "Users with an event of the item, once for each type of event.", value=lambda counter: counter.n),
    ItemCount("likes", "Of these, those whose latest event is positive.", value=lambda counter: counter.likes),
    ItemCount(
        "recent_n",
        f"Of these, those of the {WEEKS} weeks up to that of the latest event.",
        in_formulas=False,
        value=lambda counter: counter.recent_n,
    ),
    ItemCount(
        "recent_likes",
        f"Positive ones of the {WEEKS} weeks up to that of the latest event.",
        in_formulas=False,
        value=lambda counter: counter.recent_likes,
    ),
    ItemCount(
        "last_ts",
        "Time of the latest event, in unix seconds.",
        in_formulas=False,
        value=lambda counter: counter.last_ts,
    ),
)
"""The counts of an item."""


def user_attributes(described: Sequence[attributes.Attribute]) -> tuple[UserAttribute, ...]:
    """The attributes of a user."""
    return tuple(
        UserAttribute(
            attribute.name,
            f"Place of the user's {attribute.name} among its values, -1 where it is not known.",
            value=lambda user, place=place: user.codes[place],  # type: ignore[misc]
        )
        for place, attribute in enumerate(described)
    )


def item_attributes(described: Sequence[attributes.Attribute]) -> tuple[ItemAttribute, ...]:
    """The attributes of an item that are numbers or have values; texts are for encoders of text alone."""
    return tuple(_item_attributes(described))


def _item_attributes(described: Sequence[attributes.Attribute]) -> Iterator[ItemAttribute]:
    for place, attribute in enumerate(described):
        name = attribute.name
        if attribute.kind == "number" and not attribute.of:
            missing = f"{attribute.center:g} where it is missing"
            yield ItemAttribute(
                name,
                f"The item's {name}; {missing}.",
                whole=attribute.whole,
                value=lambda item, at=attribute, place=place: at.number_of(item.values[place]),  # type: ignore[misc]
            )
        if attribute.categorical or attribute.term:
            yield ItemAttribute(
                attribute.term_field,
                f"Places of the item's {name} among its values.",
                attribute.length,
                in_row=attribute.categorical and not attribute.of,
                value=lambda item, at=attribute, place=place: list(at.codes_of(item.values[place])),  # type: ignore[misc]
            )
