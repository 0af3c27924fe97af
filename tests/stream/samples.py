"""Small data sets to fold: films with ratings, and a shop with views, carts and purchases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features import Event, Id, Item, Schema
from tests import movielens, shop

Drawn = tuple[int, int, int, int]
"""An event of any sample: the place of its user and of its item, a number for its code, and its time."""


@dataclass(frozen=True)
class Sample:
    """A data set with a few users and items.

    Attributes:
        schema: of the data set.
        users: their ids.
        items: by id.
    """

    schema: Schema
    users: tuple[Id, ...]
    items: Mapping[Id, Item]

    def event(self, drawn: Drawn) -> Event:
        """The event that is drawn."""
        user, item, number, ts = drawn
        code = 1 + number % (self.schema.codes.size - 1)
        return Event(self.users[user], tuple(self.items)[item], code, ts)


FILMS = Sample(
    movielens.SCHEMA,
    (1, 2, 3, 4, 5),
    {
        1: movielens.item(1, "One", 1994, (0, 3)),
        2: movielens.item(2, "Two", 1987, (3,)),
        3: movielens.item(3, "Three", 2000, (1, 2, 7)),
    },
)
GOODS = Sample(
    shop.SCHEMA,
    ("ann", "bo", "c 3", "dürer", "7"),
    {
        "a-1": shop.item("a-1", "One", (0, 2), 3, 9.5),
        "b/2": shop.item("b/2", "Two", (), 79, None, "a text"),
        "3": shop.item("3", "Three", (1,), -1, 20.0),
    },
)
SAMPLES = {"films": FILMS, "goods": GOODS}
