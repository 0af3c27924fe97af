"""The catalogue: attributes of items and users that do not follow from events.

`Schema.item` and `Schema.user` make items and users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from features.ids import Id

UNKNOWN = -1
"""Code of a value of which nothing is known."""

ItemValue = int | float | str | tuple[int, ...] | None
"""Value of an attribute: the code of a category (UNKNOWN where it is missing), the codes of categories, ascending, a
number or a text (None where it is missing)."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the catalogue.

    Attributes:
        itemid: its id.
        title: as it is shown; empty where items have none.
        values: of its attributes, in the order of `Schema.item_attributes`.
        terms: for each attribute of `Schema.terms` the codes of the item's values.
        tally: packed: a one, then a one for each value of `Schema.windowed` attributes (see `features.tally`).
    """

    itemid: Id
    title: str
    values: tuple[ItemValue, ...]
    terms: tuple[tuple[int, ...], ...] = field(repr=False, compare=False)
    tally: int = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The title, or the id of an item that has none."""
        return self.title or str(self.itemid)


@dataclass(frozen=True, slots=True)
class User:
    """A user.

    Attributes:
        userid: the id.
        codes: of the values of `Schema.user_attributes`, UNKNOWN where one is not known.
    """

    userid: Id
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Catalogue:
    """All items and users, by id.

    Attributes:
        items, users: by id.
        user_attributes: how many attributes a user has.
    """

    items: Mapping[Id, Item]
    users: Mapping[Id, User]
    user_attributes: int

    @classmethod
    def of(cls, items: Iterable[Item], users: Iterable[User], user_attributes: int) -> Catalogue:
        """The catalogue of some items and users."""
        return cls({item.itemid: item for item in items}, {user.userid: user for user in users}, user_attributes)

    def user(self, userid: Id) -> User:
        """The user; one of whom nothing is known where the id is new."""
        return self.users.get(userid) or User(userid, (UNKNOWN,) * self.user_attributes)
