"""Counts: the numbers that follow from the events of a user or of an item, each declared once.

A count has a field in the feature row of its user or item. The formulas of `features.declarations` are over counts.
Feature rows, the columns of event batches, the views in Feast, the documentation and the version of the stored state
are derived from the tables here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from features.catalogue import DECADES, GENRES, Item, User
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


GENRE = len(GENRES)


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
            f"Likes among the user's last {events} events.",
            value=lambda profile, last: last[window].likes,
        ),
    )


def _by_genre_in_window(window: Window) -> tuple[UserCount, UserCount]:
    events = window.events
    return (
        UserCount(
            f"genre_n{events}",
            f"The user's last {events} events, by genre.",
            GENRE,
            value=lambda profile, last: last[window].genre_n,
        ),
        UserCount(
            f"genre_likes{events}",
            f"Likes among the user's last {events} events, by genre.",
            GENRE,
            value=lambda profile, last: last[window].genre_likes,
        ),
    )


USER_COUNTS = (
    UserCount("version", "Changes of the profile.", in_formulas=False, value=lambda profile, last: profile.version),
    UserCount("n", "Items that the user has rated.", value=lambda profile, last: profile.n),
    UserCount("likes", "Items that the user likes.", value=lambda profile, last: profile.likes),
    *_in_window(LAST_10),
    *_in_window(LAST_30),
    UserCount("first_ts", "Time of the first event, in unix seconds.", value=lambda profile, last: profile.first_ts),
    UserCount("last_ts", "Time of the latest event, in unix seconds.", value=lambda profile, last: profile.last_ts),
    UserCount("genre_n", "Rated items, by genre.", GENRE, value=lambda profile, last: profile.genre_n),
    UserCount("genre_likes", "Liked items, by genre.", GENRE, value=lambda profile, last: profile.genre_likes),
    *_by_genre_in_window(LAST_30),
    UserCount("decade_n", "Rated items, by decade.", DECADES, value=lambda profile, last: profile.decade_n),
    UserCount("decade_likes", "Liked items, by decade.", DECADES, value=lambda profile, last: profile.decade_likes),
)
"""The counts of a user."""

ITEM_COUNTS = (
    ItemCount("n", "Users who have rated the item.", value=lambda counter: counter.n),
    ItemCount("likes", "Users who like the item.", value=lambda counter: counter.likes),
    ItemCount(
        "recent_n",
        f"Ratings in the {WEEKS} weeks up to that of the latest event.",
        in_formulas=False,
        value=lambda counter: counter.recent_n,
    ),
    ItemCount(
        "recent_likes",
        f"Likes in the {WEEKS} weeks up to that of the latest event.",
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


@dataclass(frozen=True)
class Attribute:
    """An attribute of a user or an item, as the catalogue has it.

    Attributes:
        name: of its field in the feature row.
        description: one sentence.
        length: 1 for a number. For places in a list its length; formulas get 1 at these places, and else 0.
        in_row: whether the feature row has it. What follows from another attribute, it has not.
    """

    name: str
    description: str
    length: int = 1
    in_row: bool = True


@dataclass(frozen=True)
class UserAttribute(Attribute):
    """An attribute of a user: an input of the ranker by itself, which formulas may not use."""

    value: Callable[[User], int] = field(kw_only=True)


@dataclass(frozen=True)
class ItemAttribute(Attribute):
    """An attribute of an item, which formulas may use."""

    value: Callable[[Item], int | list[int]] = field(kw_only=True)


ATTRIBUTES_OF_USERS = (
    UserAttribute("gender", "0 for F, 1 for M, -1 where it is not known.", value=lambda user: user.gender),
    UserAttribute("age", "Place of the age group in AGES, -1 where it is not known.", value=lambda user: user.age),
    UserAttribute("occupation", "Number from 0 to 20, -1 where it is not known.", value=lambda user: user.occupation),
)
"""The attributes of a user."""

ATTRIBUTES_OF_ITEMS = (
    ItemAttribute("year", "Year of release.", value=lambda item: item.year),
    ItemAttribute("genres", "Places of the item's genres in GENRES.", GENRE, value=lambda item: list(item.genres)),
    ItemAttribute("decade", "Place of the decade of release.", DECADES, in_row=False, value=lambda item: [item.decade]),
)
"""The attributes of an item."""
