"""Lists that the stream makes have the items of the moment: new ones, changed ones, and none that is withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from features import ItemCounter, Layer
from settings import Settings
from stores import Profiles, connect
from stream.drift.earlier import EarlierCounters
from stream.drift.items import ListedItems
from tests.stream.samples import GOODS

SCHEMA, EVENTS = GOODS.schema, GOODS.schema.events


@pytest.fixture
def profiles(redis: Settings) -> Iterator[Profiles]:
    client = connect(redis.redis)
    client.flushall()
    with closing(client):
        yield Profiles(client, "ratings", 2, schema=SCHEMA)


def write(profiles: Profiles, layer: Layer) -> None:
    """Write both shards, each with one event of every item."""
    profiles.delete_all()
    for shard in range(2):
        profiles.write_shard(shard, {}, {}, {itemid: ItemCounter(n=1) for itemid in layer}, [], layer=layer)


def test_items_that_came_are_listed_and_withdrawn_ones_are_not(profiles: Profiles) -> None:
    layer = Layer(GOODS.items)
    write(profiles, layer)
    listed = ListedItems(SCHEMA, GOODS.items, profiles)
    before = listed.table()
    assert before.itemids == tuple(sorted(GOODS.items)) and listed.table() is before
    layer.apply(EVENTS.item_change("new", 1, {"categories": ["toys"], "price": 3}))
    layer.apply(EVENTS.item_change("3", 1, {"price": 7}))
    layer.apply(EVENTS.withdrawal("a-1", 2))
    write(profiles, layer)
    after = listed.table()
    assert after.itemids == ("3", "b/2", "new")
    assert after.numbers("price").tolist() == pytest.approx([7.0, float("nan"), 3.0], nan_ok=True)
    assert after.items["a-1"] == GOODS.items["a-1"], "terms of earlier events with it count on"


def test_counters_are_those_of_the_items_that_were_listed_before_the_event(profiles: Profiles) -> None:
    layer = Layer(GOODS.items)
    write(profiles, layer)
    listed = ListedItems(SCHEMA, GOODS.items, profiles)
    counters = EarlierCounters(profiles, listed.table, 30.0, clock=iter([0.0, 0.0, 10.0, 10.0]).__next__)
    counters.read()
    profiles.client.set(f"{profiles.tag(0)}:applied", 5)
    layer.apply(EVENTS.item_change("new", 1, {}))
    for shard in range(2):
        profiles.write_shard(shard, {}, {}, {"new": ItemCounter(n=3)}, [], layer=layer)
    counters.read()
    before, after = counters.before(0, 5), counters.before(0, 6)
    assert before is not None and after is not None
    assert "new" not in before.table.itemids and len(before.counters.n) == 3
    (column,) = after.table.column(["new"])
    assert after.counters.n[column] == 6 and len(after.counters.n) == 4
