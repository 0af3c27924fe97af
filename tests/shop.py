"""A small shop, for tests of data sets that are not MovieLens: string ids, several types of events, no ratings."""

from __future__ import annotations

from features import Catalogue, Event, Item, Learned, LearnedAttribute, Schema, User
from features.dataset import parse

DESCRIPTION = """
name = "Small shop"

[files.clicks]
path = "clicks.csv"
format = "csv"

[files.products]
path = "products.jsonl"
format = "jsonl"

[files.customers]
path = "customers.csv"
format = "csv"
separator = ";"

[[events]]
file = "clicks"
user = "customer"
item = "sku"
time = "at"
time_format = "iso"
type = "action"

[feedback.view]
hides = false

[feedback.cart]
positive = "always"
weight = 0.5
target = false
hides = false

[feedback.purchase]
positive = "always"
identity = "replace"
precedence = 1

[items]
ids = "string"
file = "products"
id = "sku"

[items.attributes.name]
kind = "title"
column = "name"

[items.attributes.categories]
kind = "categories"
singular = "category"
column = "categories"
term = true

[items.attributes.brand]
kind = "category"
column = "brand"
term = true

[items.attributes.price]
kind = "number"
column = "price"
quantiles = 3
term = true

[items.attributes.text]
kind = "text"
column = "description"

[users]
ids = "string"
file = "customers"
id = "customer"
complete = false

[users.attributes.segment]
kind = "category"
column = "segment"
values = ["new", "regular"]
"""

BRANDS = tuple(f"brand {number}" for number in range(80))
"""More than the windows of terms take."""

SCHEMA = Schema(
    parse(DESCRIPTION),
    Learned(
        items={
            "categories": LearnedAttribute(values=("garden", "kitchen", "toys")),
            "brand": LearnedAttribute(values=BRANDS),
            "price": LearnedAttribute(
                values=("below 10", "10 to 20", "20 or more"), bounds=(10.0, 20.0), center=15.0, scale=10.0
            ),
        },
        positive_share=0.25,
    ),
)

VIEW, CART, PURCHASE = 1, 2, 3
"""Codes of the events."""


def item(
    itemid: str,
    name: str = "",
    categories: tuple[int, ...] = (),
    brand: int = -1,
    price: float | None = None,
    text: str | None = None,
) -> Item:
    """An item; the codes of categories and brand."""
    return SCHEMA.item(itemid, name, (categories, brand, price, text))


def user(userid: str, segment: int = -1) -> User:
    """A user; the code of the segment."""
    return SCHEMA.user(userid, (segment,))


def event(userid: str, itemid: str, code: int, ts: int) -> Event:
    """An event."""
    return Event(userid, itemid, code, ts)


def catalogue(items: list[Item], users: list[User]) -> Catalogue:
    """A catalogue."""
    return Catalogue.of(items, users, len(SCHEMA.user_attributes))
