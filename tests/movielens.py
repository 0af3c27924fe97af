"""The schema of MovieLens-1M, and its items, users and ratings, for tests."""

from __future__ import annotations

import datasets
from features import Catalogue, Event, Item, Schema, User

SCHEMA = Schema(datasets.read("movielens-1m"))

GENRES = next(attribute.values for attribute in SCHEMA.item_attributes if attribute.name == "genres")
"""A genre's place here is its code."""

DECADES = next(attribute.values for attribute in SCHEMA.item_attributes if attribute.name == "decade")


def item(itemid: int, title: str = "", year: int = 1995, genres: tuple[int, ...] = ()) -> Item:
    """An item; `genres` are places in GENRES."""
    return SCHEMA.item(itemid, title, (year, genres, year))


def user(userid: int, gender: int = -1, age: int = -1, occupation: int = -1) -> User:
    """A user; the codes of the attributes."""
    return SCHEMA.user(userid, (gender, age, occupation))


def rated(userid: int, itemid: int, rating: int, ts: int) -> Event:
    """A rating event."""
    return Event(userid, itemid, rating, ts)


def catalogue(items: list[Item], users: list[User]) -> Catalogue:
    """A catalogue."""
    return Catalogue.of(items, users, len(SCHEMA.user_attributes))


encode, decode = SCHEMA.events.encode, SCHEMA.events.decode
"""Events as they stand in the log."""
