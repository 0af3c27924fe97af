"""Small data sets in which everything that the oracle must agree about happens: in a folder, with users and items.

Ratings share seconds and are not in the order of time. The shop has ids that are texts, types that accumulate and one
that replaces, items with attributes that are missing, and users and items that only events name. Logs change items and
users, and name items that nobody knows before a change brings them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

import datasets
from features import Erasure, Event, EventError, Id, ItemChange, Schema
from offline.data import readers
from offline.data.readers import Ratings
from settings import Settings, load
from stores import partition_of
from verify.oracle import History, of_files

WEEK = 7 * 86_400
TIMES = [0, 1, 2, WEEK, 8 * WEEK, 20 * WEEK]
ONLINE = 2
MAX_FUTURE_S = 10.0 * WEEK
WAITING_EVENTS = 4
"""Events that may wait in a partition: so few that some logs have more."""

PARTIAL = 3
"""A change of an item of this version reached no partition but the first, as the others did not acknowledge it."""

Words = dict[str, object]

Record = tuple[bytes | None, bytes | None]


@dataclass(frozen=True)
class World:
    """A data set.

    Attributes:
        folder: with its files.
        dataset: its description, as the setting `data.dataset` has it.
        users, items: those to look at; the last of each are known of nothing but the log.
        bad: records that are neither valid events nor changes.
        item_words, user_words: attributes that changes give.
    """

    folder: Path
    dataset: str
    users: tuple[Id, ...]
    items: tuple[Id, ...]
    bad: tuple[Record, ...]
    item_words: tuple[Words, ...]
    user_words: tuple[Words, ...]

    @cached_property
    def settings(self) -> Settings:
        data = {"dataset": self.dataset, "folder": str(self.folder), "online_events": ONLINE}
        return load(data=data, state_dir=self.folder)

    @cached_property
    def ratings(self) -> Ratings:
        return readers.load(self.settings)

    @property
    def schema(self) -> Schema:
        return self.ratings.schema

    def history(self) -> History:
        """The files that the oracle reads."""
        return of_files(datasets.path_of(self.dataset), self.folder, ONLINE)

    @cached_property
    def records(self) -> st.SearchStrategy[list[Record]]:
        """Logs with events, some of them more than once, erasures, changes, and records that are none of these."""
        events_of, codes = self.schema.events, self.schema.codes
        encode = events_of.encode
        events = st.builds(
            Event,
            st.sampled_from(self.users),
            st.sampled_from(self.items),
            st.integers(1, codes.size - 1),
            st.sampled_from(TIMES),
        ).map(encode)
        erasures = st.builds(Erasure, st.sampled_from(self.users)).map(encode)
        items, versions = st.sampled_from(self.items), st.integers(1, PARTIAL + 2)
        changes = st.builds(events_of.item_change, items, versions, st.sampled_from(self.item_words)).map(encode)
        withdrawals = st.builds(events_of.withdrawal, items, versions).map(encode)
        users = st.builds(events_of.user_change, st.sampled_from(self.users), st.sampled_from(self.user_words))
        of_users = users.map(encode)

        def log(again: list[Record]) -> st.SearchStrategy[list[Record]]:
            others = (st.sampled_from(again), st.sampled_from(self.bad), erasures, withdrawals, of_users)
            record = st.one_of(events, events, events, changes, changes, *others)
            # Of lists from 0 on, hypothesis makes hardly any that are long.
            return st.lists(record, max_size=6) | st.lists(record, min_size=20, max_size=60)

        return st.lists(events, min_size=1, max_size=5).flatmap(log)


def partitions_of(world: World, record: Record, partitions: int) -> list[int]:
    """The partitions that clients put a record into: one by its key, but every one for a change of an item."""
    key, value = record
    try:
        said = world.schema.events.decode(key, value)
    except EventError:
        said = None
    if isinstance(said, ItemChange):
        return [0] if said.version == PARTIAL else list(range(partitions))
    try:
        return [partition_of(world.schema.user_ids.parse((key or b"").decode(), "key"), partitions)]
    except EventError:
        return [0]


MOVIES = """1::One (1994)::Action|Animation
2::Two (1899)::Drama
3::Three (2000)::War|Comedy|Drama
4::Four (2031)::Western
"""
PEOPLE = "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n"
BAD_RATINGS: tuple[Record, ...] = (
    (b"1", None),
    (b"1", b"not JSON"),
    (b"1", b"[]"),
    (b"1", b'{"userid": true, "itemid": 1, "rating": 5, "ts": 1}'),
    (b"1", b'{"userid": 1, "itemid": 1, "rating": 5.0, "ts": 1}'),
    (b"2", b'{"userid": 1, "itemid": 1, "rating": 5, "ts": 1}'),
    (b"1", b'{"userid": 1, "itemid": 1, "rating": 6, "ts": 1}'),
    (b"1", b'{"userid": 1, "itemid": 1, "rating": 5, "ts": 4294967296}'),
    (None, b'{"userid": 1, "itemid": 1, "rating": 5, "ts": 1}'),
    (b"1", b'{"userid": 1, "itemid": 1, "event": "view", "ts": 1}'),
    (b"1", b'{"userid": 1, "itemid": 1, "event": "rating", "ts": 1}'),
    (b"1", b'{"userid": "1", "itemid": 1, "rating": 5, "ts": 1}'),
    (b"1", b'{"schema_version": 2, "userid": 1, "itemid": 1, "rating": 5, "ts": 1}'),
    (b"2", b'{"schema_version": 2, "userid": 1, "erase": true}'),
    (b"1", b'{"schema_version": 2, "userid": 1, "erase": 1}'),
    (b"2", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 0, "item": {}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 9223372036854775808, "item": {}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4.0, "item": {}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "item": {}}'),
    (b"1", b'{"schema_version": 3.0, "itemid": 1, "version": 4, "item": {}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "userid": 1, "version": 4, "item": {}, "user": {}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {}, "withdrawn": true}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "withdrawn": 1}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": []}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"colour": "red"}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"year": "1990"}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"year": 1990.0}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"year": 1000000000000000000000000000000}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"year": true}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"genres": "War"}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"genres": [null]}}'),
    (b"1", b'{"schema_version": 3, "itemid": 1, "version": 4, "item": {"title": "\\ud800"}}'),
    (b"2", b'{"schema_version": 3, "userid": 1, "user": {}}'),
    (b"1", b'{"schema_version": 3, "userid": 1}'),
    (b"1", b'{"schema_version": 3, "userid": 1, "user": {"name": "x"}}'),
    (b"1", b'{"schema_version": 3, "userid": 1, "user": {"gender": 1}}'),
)
NEW_MOVIES: tuple[Words, ...] = (
    {},
    {"title": "New", "year": 1990, "genres": ["War", "no genre", "Drama", "War"], "decade": None},
    {"genres": ["Drama"]},
    {"year": 1985, "decade": 1925, "genres": None},
    {"title": "", "genres": []},
)
NEW_PEOPLE: tuple[Words, ...] = ({}, {"gender": "F", "age": "25"}, {"gender": "X", "occupation": "3"})


def ratings_world(folder: Path) -> World:
    """Ratings in the layout of MovieLens-1M."""
    rng = np.random.default_rng(3)
    lines = [
        f"{userid}::{rng.integers(1, 5)}::{rng.integers(1, 6)}::{TIMES[rng.integers(0, 4)]}"
        for userid in (1, 2, 3)
        for _ in range(6)
    ]
    (folder / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "movies.dat").write_text(MOVIES, encoding="latin-1")
    (folder / "users.dat").write_text(PEOPLE, encoding="latin-1")
    bad, items = BAD_RATINGS, (1, 2, 3, 4, 98, 99)
    return World(folder, "movielens-1m", (1, 2, 3, 9), items, bad, NEW_MOVIES, NEW_PEOPLE)


SHOP = """
name = "Small shop"
term_half_life_days = 3

[files.clicks]
path = "clicks.csv"
format = "csv"
separator = ";"
missing = ["", "n/a"]

[files.products]
path = "products.jsonl"
format = "jsonl"

[files.customers]
path = "customers.parquet"
format = "parquet"

[[events]]
file = "clicks"
user = "customer"
item = "sku"
time = "at"
time_format = "iso"
type = "action"
names = { seen = "view", "put in cart" = "cart" }
ignore = ["search"]
value = "value"

[feedback.view]
hides = false
target = false

[feedback.cart]
positive = "always"
weight = 0.3
identity = "replace"

[feedback.stars]
value = { minimum = 0, maximum = 2, whole = true }
positive = "value > 1"
negative = "value == 0"
identity = "replace"
target = false

[feedback.purchase]
value = { minimum = 0 }
positive = "value >= 0.5"
weight = 2.0

[items]
ids = "string"
file = "products"
id = "sku"
complete = false

[items.attributes.name]
kind = "title"
column = "name"

[items.attributes.tags]
kind = "categories"
singular = "tag"
column = "tags"
term = true

[items.attributes.brand]
kind = "category"
column = "name"
pattern = '(\\w+) .*'
most = 2
term = true

[items.attributes.price]
kind = "number"
column = "price"
quantiles = 3
term = true

[items.attributes.weight]
kind = "number"
column = "grams"
whole = true
minimum = 0

[items.attributes.size]
kind = "number"
of = "weight"
step = 250
term = true

[items.attributes.story]
kind = "text"
column = "text"

[users]
ids = "string"
file = "customers"
id = "customer"
complete = false

[users.attributes.segment]
kind = "category"
column = "segment"

[users.attributes.age]
kind = "number"
column = "age"
buckets = [30, 60]

[split]
kind = "time"
at = 1970-03-01T00:00:00Z
"""
PRODUCTS: list[dict[str, object]] = [
    {"sku": "a 1", "name": "Acme kettle", "tags": ["kitchen", "red"], "price": 20, "grams": 900, "text": "boils"},
    {"sku": "b:2", "name": "Acme toaster", "tags": ["kitchen"], "price": 25.5, "grams": 1250},
    {"sku": "ç3", "name": "Bolt drill", "tags": None, "price": None, "grams": 1700, "text": "drills"},
    {"sku": "4", "name": "Kite", "tags": ["toys", "red", "red"], "price": 7, "grams": None},
    {"sku": "e", "name": None, "tags": [], "price": 7, "grams": 100},
]
CUSTOMERS = {"customer": ["u1", "ü 2", "7"], "segment": ["new", "regular", None], "age": [25.0, 60.0, None]}
BAD_CLICKS: tuple[Record, ...] = (
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "event": "looks", "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "event": "view", "value": 1, "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "event": "purchase", "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "purchase": -1, "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "purchase": 1, "stars": 1, "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "stars": 1.0, "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "purchase": NaN, "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "a 1", "ts": 1}'),
    (b"u1", b'{"userid": "u1", "itemid": "", "event": "view", "ts": 1}'),
    (b"7", b'{"userid": 7, "itemid": "a 1", "event": "view", "ts": 1}'),
    (b"7", b'{"schema_version": 2, "userid": 7, "erase": true}'),
    (b"u\n", b'{"userid": "u\\n", "itemid": "a 1", "event": "view", "ts": 1}'),
    (b"u", b'{"userid": "u\\ud800", "itemid": "a 1", "event": "view", "ts": 1}'),
    (b"7", b'{"schema_version": 3, "itemid": 7, "version": 1, "item": {}}'),
    (b"a 1", b'{"schema_version": 3, "itemid": "a 1", "version": 4, "item": {"name": "x"}}'),
    (b"a 1", b'{"schema_version": 3, "itemid": "a 1", "version": 4, "item": {"weight": -1}}'),
    (b"a 1", b'{"schema_version": 3, "itemid": "a 1", "version": 4, "item": {"price": NaN}}'),
    (b"a 1", b'{"schema_version": 3, "itemid": "a 1", "version": 4, "item": {"brand": ["Acme"]}}'),
    (b"u1", b'{"schema_version": 3, "userid": "u1", "user": {"age": "30"}}'),
)
NEW_PRODUCTS: tuple[Words, ...] = (
    {},
    {"title": "Acme lamp", "tags": ["red", "unknown"], "brand": "Acme", "price": 12, "weight": 750},
    {"tags": ["toys", "kitchen"], "brand": "nobody", "price": 30.25, "weight": 100, "size": 1000.0, "story": "shines"},
    {"price": 20},
)
NEW_CUSTOMERS: tuple[Words, ...] = ({}, {"segment": "regular", "age": 60}, {"segment": "unknown", "age": 29.5})


def shop_world(folder: Path) -> World:
    """Clicks in a shop, in three formats of files."""
    rng = np.random.default_rng(4)
    types = (("seen", "n/a"), ("view", ""), ("put in cart", ""), ("stars", "0"), ("stars", "2"), ("purchase", "0.25"))
    users, items = ("u1", "ü 2", "7", "guest"), ("a 1", "b:2", "ç3", "4", "named by events")
    lines = ["customer;sku;action;value;at"]
    for userid in users:
        for _ in range(8):
            action, value = (*types, ("purchase", "3"))[rng.integers(0, len(types) + 1)]
            time = datetime.fromtimestamp(TIMES[rng.integers(0, len(TIMES))], UTC).isoformat()
            lines += [f'{userid};"{items[rng.integers(0, len(items))]}";{action};{value};{time}']
    lines += ["u1;a 1;search;;1970-01-01", lines[1], lines[-1]]
    (folder / "clicks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "products.jsonl").write_text("\n".join(map(json.dumps, PRODUCTS)) + "\n", encoding="utf-8")
    pq.write_table(pa.table(CUSTOMERS), folder / "customers.parquet")
    (folder / "shop.toml").write_text(SHOP, encoding="utf-8")
    of_world, dataset = (*items, "new item", "nothing"), str(folder / "shop.toml")
    return World(folder, dataset, (*users, "new user"), of_world, BAD_CLICKS, NEW_PRODUCTS, NEW_CUSTOMERS)


WORLDS = {"ratings": ratings_world, "shop": shop_world}
