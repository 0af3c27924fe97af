"""Changes of items in every partition, and items that events wait for (`catalogue.auto_insert`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from features import ItemChange
from settings import Settings
from stores import Log, StateStores, StoreError, Unreachable
from stores.kafka.item_changes import ItemChanges
from stores.redis.generations import FIRST
from stores.redis.packed_changes import Waiting, pack_waiting
from stream.fold.auto_insert import AGAIN_S, AutoInsert
from tests import shop
from tests.servers.conftest import two_partitions

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture
def settings(kafka_server: Settings, redis: Settings, tmp_path: Path) -> Iterator[Settings]:
    with two_partitions(kafka_server, redis, tmp_path) as made:
        yield made


def changes_in(settings: Settings) -> dict[int, list[ItemChange]]:
    """The changes of each partition, in the order of the log."""
    found: dict[int, list[ItemChange]] = {}
    with closing(Log(settings.kafka)) as log:
        for batch in log.read_to(log.ends()):
            for record in batch:
                change = shop.SCHEMA.events.decode(record.key, record.value)
                assert isinstance(change, ItemChange)
                found.setdefault(record.partition, []).append(change)
    return found


def test_a_change_stands_in_every_partition_in_the_order_in_which_changes_were_appended(settings: Settings) -> None:
    events = shop.SCHEMA.events
    sent = [events.item_change("ü 1", 5, {"title": "Lamp", "price": 3}), events.withdrawal("ü 1", 6)]
    with closing(ItemChanges(settings.kafka, events)) as changes:
        changes.append(sent, 2)
        changes.append([], 2)
    assert changes_in(settings) == {0: sent, 1: sent}


def test_a_change_that_kafka_refuses_is_an_error_that_names_the_item(settings: Settings) -> None:
    large = shop.SCHEMA.events.item_change("large", 1, {"text": "x" * (3 << 20)})
    refusal = pytest.raises(StoreError, match="Kafka refuses the change of item large")
    with closing(ItemChanges(settings.kafka, shop.SCHEMA.events)) as changes, refusal:
        changes.append([large], 2)


def test_a_change_that_kafka_does_not_acknowledge_may_be_appended_again(settings: Settings) -> None:
    away = settings.kafka.model_copy(update={"bootstrap": "127.0.0.1:1"})
    with closing(ItemChanges(away, shop.SCHEMA.events)) as changes, pytest.raises(Unreachable):
        changes.append([shop.SCHEMA.events.withdrawal("a", 1)], 2)


def test_an_item_that_events_wait_for_is_put_once_until_it_waits_too_long(settings: Settings) -> None:
    state = StateStores.of(settings, FIRST)
    state.profiles.client.flushall()
    state.published.begin_snapshot("a", shop.SCHEMA)
    key, value = shop.SCHEMA.events.encode(shop.event("u1", "b", shop.VIEW, 5))
    for shard, itemid in ((0, "b"), (1, "a"), (1, "b")):
        packed = pack_waiting([Waiting(3, 1.0, key, value)])
        state.profiles.client.hset(f"{state.profiles.tag(shard)}:waiting", itemid, packed)
    now = [100.0]
    inserting = AutoInsert(settings, lambda: now[0])
    assert inserting.insert(state, shop.SCHEMA) == 2
    expected = [shop.SCHEMA.events.item_change(itemid, 1, {}) for itemid in ("a", "b")]
    assert changes_in(settings) == {0: expected, 1: expected}
    assert inserting.insert(state, shop.SCHEMA) == 0
    now[0] += AGAIN_S
    assert inserting.insert(state, shop.SCHEMA) == 2, "a change may have been lost"
    for shard in (0, 1):
        state.profiles.client.delete(f"{state.profiles.tag(shard)}:waiting")
    assert inserting.insert(state, shop.SCHEMA) == 0
