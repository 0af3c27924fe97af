"""Counters are published all at once while nothing comes in, else a few at a time, in the order of their marks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from features import ItemCounter
from features.layer import Layer
from settings import Settings
from stores import Profiles, Published, StateStores, connect
from stores.feast.feature_rows import FeatureRows
from stores.redis.generations import FIRST
from stores.redis.unpublished_items import UnpublishedItems
from stream.fold.items import REST, TOGETHER, ItemPublisher
from stream.health import Health
from stream.troubles import STORED_VALUES
from tests.movielens import SCHEMA, item

ITEMS = {number: item(number, str(number), 1990, (number % 3,)) for number in range(1, 251)}
STEP_S = 0.01


class Clock:
    """Time passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += STEP_S
        return self.now


class Publishing:
    """A publisher of the items of two shards, and what it has published."""

    def __init__(self, settings: Settings) -> None:
        client = connect(settings.redis)
        client.flushall()
        self.profiles = Profiles(client, "ratings", 2, schema=SCHEMA)
        for shard in range(2):
            counters = {itemid: ItemCounter(itemid) for itemid in ITEMS}
            self.profiles.write_shard(shard, {}, {}, counters, [])
        self.rows, self.clock, self.busy = FeatureRows(settings, SCHEMA), Clock(), False
        self.marks = UnpublishedItems(self.profiles)
        stores: Any = SimpleNamespace(state=StateStores(FIRST, self.profiles, Published(client)))
        self.health = Health.of(settings.stream)
        self._publisher = ItemPublisher(settings, stores, self.health, self.clock)
        self.clock.now += settings.stream.items_every_s

    def publish(self) -> set[int]:
        """Publish; the items that have a row afterwards."""
        self._publisher.publish(SCHEMA, ITEMS, lambda: self.busy)
        return {*self.rows.items(list(ITEMS))}

    def rest(self) -> None:
        """Let more time pass than the publisher rests after some items."""
        self.clock.now += 4 * REST * STEP_S


@pytest.fixture
def publishing(redis: Settings) -> Publishing:
    return Publishing(redis)


def test_while_nothing_comes_in_all_are_published_at_once(publishing: Publishing) -> None:
    publishing.marks.mark(ITEMS)
    assert publishing.publish() == {*ITEMS} and publishing.marks.count() == 0
    assert publishing.rows.items([7])[7]["n"] == 14


def test_while_events_come_in_some_are_published_and_the_others_stay_marked(publishing: Publishing) -> None:
    publishing.marks.mark(ITEMS)
    publishing.busy = True
    first, second = {*range(1, TOGETHER + 1)}, {*range(1, 2 * TOGETHER + 1)}
    assert publishing.publish() == first == publishing.publish()
    # Marked again meanwhile: those that wait come first.
    publishing.marks.mark(first)
    publishing.rest()
    assert publishing.publish() == second
    assert {*UnpublishedItems(publishing.profiles).take()} == {*ITEMS} - (second - first)
    publishing.rest()
    assert publishing.publish() == {*ITEMS}
    publishing.busy = False
    publishing.clock.now += 1.0
    assert publishing.publish() == {*ITEMS} and publishing.marks.count() == 0


def test_a_changed_item_waits_for_no_others_and_holds_none_up(publishing: Publishing) -> None:
    publishing.marks.mark(ITEMS)
    publishing.busy = True
    first = publishing.publish()
    layer = Layer(ITEMS)
    last = max(ITEMS)
    layer.apply(SCHEMA.events.item_change(last, 1, {"title": "another"}))
    publishing.profiles.write_shard(0, {}, {}, {last: ItemCounter(1)}, [], layer=layer)
    publishing.profiles.client.set("{ratings-0}:changes", 1)
    publishing.marks.mark([last])
    assert publishing.publish() == {*first, last}
    publishing.rest()
    assert publishing.publish() == {*range(1, 2 * TOGETHER + 1), last}


def test_a_failure_is_reported_once_in_each_interval(publishing: Publishing) -> None:
    assert publishing.publish() == set()
    publishing.marks.mark(ITEMS)
    publishing.clock.now += 1.0
    publishing.profiles.client.set("{ratings-1}:publishing", "a key of another type")
    assert publishing.publish() == set()
    told = publishing.health.troubles.recent()
    assert "items are not published" in told[STORED_VALUES]
    assert publishing.publish() == set() and publishing.health.troubles.recent() == told
    publishing.clock.now += 1.0
    assert publishing.publish() == set() and publishing.health.troubles.recent() != told
    publishing.profiles.client.delete("{ratings-1}:publishing")
    publishing.clock.now += 1.0
    assert publishing.publish() == {*ITEMS}


def test_marks_that_name_no_item_go(publishing: Publishing) -> None:
    publishing.profiles.client.sadd("{ratings-1}:dirty", "junk", "07", "7")
    assert publishing.publish() == {7} and publishing.marks.count() == 0
