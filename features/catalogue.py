"""The catalogue: attributes of items and users that do not follow from events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from features import tally

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""MovieLens genres; a genre's place here is its number everywhere."""

FIRST_DECADE = 1910
DECADES = 10
"""Decades from the 1910s to the 2000s; earlier and later years count to the first and the last."""

AGES = (1, 18, 25, 35, 45, 50, 56)
"""MovieLens age groups, each named by its lowest age."""

OCCUPATIONS = 21
UNKNOWN = -1
"""Gender, age or occupation of a user of whom nothing is known."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the catalogue.

    Attributes:
        itemid: 1 to 2**31 - 1.
        title: as it is shown.
        year: of release.
        genres: places in GENRES, ascending.
        decade: number of the decade of release, 0 to DECADES - 1.
        tally: packed: a one, then a one for each genre of the item (see `features.tally`).
    """

    itemid: int
    title: str
    year: int
    genres: tuple[int, ...]
    decade: int = field(init=False, repr=False, compare=False)
    tally: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decade", decade(self.year))
        object.__setattr__(self, "tally", tally.pack((0, *(1 + genre for genre in self.genres))))


@dataclass(frozen=True, slots=True)
class User:
    """A user: gender 0 (F) or 1 (M), age a place in AGES, occupation 0 to 20; UNKNOWN where not known."""

    userid: int
    gender: int = UNKNOWN
    age: int = UNKNOWN
    occupation: int = UNKNOWN


def decade(year: int) -> int:
    """Number of a year's decade, 0 to DECADES - 1.

    >>> decade(1994), decade(1895), decade(2031)
    (8, 0, 9)
    """
    return min(max((year - FIRST_DECADE) // 10, 0), DECADES - 1)


def decade_name(number: int) -> str:
    """Name of a decade by its number.

    >>> decade_name(8)
    '1990s'
    """
    return f"{FIRST_DECADE + 10 * number}s"


@dataclass(frozen=True)
class Catalogue:
    """All items and users, by id."""

    items: Mapping[int, Item]
    users: Mapping[int, User]

    @classmethod
    def of(cls, items: Iterable[Item], users: Iterable[User]) -> Catalogue:
        return cls({item.itemid: item for item in items}, {user.userid: user for user in users})

    def user(self, userid: int) -> User:
        """The user; one of whom nothing is known where the id is new."""
        return self.users.get(userid) or User(userid)
