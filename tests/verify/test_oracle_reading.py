"""The oracle reads a data set as the rest of reelstream does, with code of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets
from features import Event
from offline.data import tables
from offline.data.split import split
from tests.verify.worlds import ONLINE, World, ratings_world
from verify.oracle import History, of_archive, of_files


def compare(world: World, history: History) -> None:
    """Compare the catalogue and the events before the log with those that are loaded."""
    ratings, schema = world.ratings, world.schema
    items = {column.name: column for column in history.items.attributes}
    for itemid, item in ratings.catalogue.items.items():
        assert itemid in history.items
        for attribute, value in zip(schema.item_attributes, item.values, strict=True):
            column = items[attribute.name]
            known = history.items.value(itemid, column)
            assert (tuple(known) if isinstance(known, list) else known) == value, (itemid, attribute.name)
            assert tuple(history.items.codes(itemid, column)) == attribute.codes_of(value)
    users = {column.name: column for column in history.users.attributes}
    for userid, user in ratings.catalogue.users.items():
        codes = [history.users.codes(userid, users[attribute.name]) for attribute in schema.user_attributes]
        assert tuple(code[0] if code else -1 for code in codes) == user.codes
    names = {name: column.names for name, column in (items | users).items() if column.names}
    attributes = (*schema.item_attributes, *schema.user_attributes)
    assert names == {each.name: list(each.values) for each in attributes if each.values}
    events: dict[object, list[tuple[object, int, int]]] = {userid: [] for userid in ratings.catalogue.users}
    for event in ratings.events(split(ratings, world.settings.data).offline):
        events[event.userid].append((event.itemid, event.code, event.ts))
    told = {userid: [(each.itemid, each.code, each.ts) for each in some] for userid, some in history.events.items()}
    assert {userid: some for userid, some in told.items() if some} == {
        userid: some for userid, some in events.items() if some
    }
    assert any(events.values())


def test_the_oracle_reads_files_as_they_are_loaded(world: World) -> None:
    compare(world, world.history())


def test_the_oracle_reads_an_archive_as_it_was_written(world: World, archived: Path) -> None:
    compare(world, of_archive(archived, datasets.path_of("movielens-1m"), ONLINE))


def test_the_oracle_reads_an_archive_of_the_first_version_which_had_no_schema(tmp_path: Path) -> None:
    world = ratings_world(tmp_path)
    events = [(event.userid, event.itemid, event.code, event.ts) for event in every_event(world)]
    users = [(user.userid, *user.codes) for user in world.ratings.catalogue.users.values()]
    (_, genres, _), movies = world.schema.item_attributes, world.ratings.catalogue.items.values()
    items = [(item.itemid, item.title, item.values[0], genres.shown(item.values[1])) for item in movies]
    for name, columns, rows in (
        ("events", ("userid", "itemid", "rating", "ts"), events),
        ("users", ("userid", "gender", "age", "occupation"), users),
        ("items", ("itemid", "title", "year", "genres"), items),
    ):
        table = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    compare(world, of_archive(tmp_path, datasets.path_of("movielens-1m"), ONLINE))


def every_event(world: World) -> Iterator[Event]:
    return world.ratings.events(np.arange(len(world.ratings)))


def test_a_number_that_is_missing_is_the_center_in_rows(world: World) -> None:
    history = world.history()
    centers = {
        attribute.name: attribute.number_of(None)
        for attribute in world.schema.item_attributes
        if attribute.kind == "number" and not attribute.of
    }
    assert centers
    assert {column.name: column.center for column in history.items.attributes if column.name in centers} == centers


def test_users_who_are_left_out_are_unknown_as_if_they_had_never_been(world: World) -> None:
    first, *others = world.ratings.catalogue.users
    some = world.history().of_users(others)
    assert first not in some.users and first not in some.events
    left = replace(world, folder=world.folder)
    object.__setattr__(left, "ratings", world.ratings.without([first]))
    compare(left, some)


NUMBERS = """
name = "Numbers"

[files.items]
path = "items.csv"
format = "csv"

[files.events]
path = "events.csv"
format = "csv"

[[events]]
file = "events"
user = "user"
item = "item"
time = "time"
event = "like"

[feedback.like]
positive = "always"

[users]
ids = "integer"

[items]
ids = "integer"
file = "items"
id = "item"

[items.attributes.number]
kind = "number"
column = "number"
quantiles = {shares}
"""


@pytest.mark.parametrize("shares", range(2, 10))
def test_the_oracle_cuts_numbers_at_the_same_quantiles(tmp_path: Path, shares: int) -> None:
    rng = np.random.default_rng(shares)
    numbers = rng.integers(0, 40, 3 * shares + 1) / 10
    lines = [f"{itemid},{number}" for itemid, number in enumerate(numbers.tolist(), 1)]
    (tmp_path / "items.csv").write_text("\n".join(["item,number", *lines]))
    (tmp_path / "events.csv").write_text("user,item,time\n1,1,1\n")
    (tmp_path / "numbers.toml").write_text(NUMBERS.format(shares=shares))
    (column,) = of_files(tmp_path / "numbers.toml", tmp_path, 10).items.attributes
    buckets = tables.read(datasets.read(str(tmp_path / "numbers.toml")), tmp_path).items.attributes["number"].buckets
    assert column.names == list(buckets.names)
    assert [code for (code,) in column.codes] == buckets.codes.tolist()
    assert len(column.names) > 1
