"""The changed items of all shards, read before the first batch of a worker, on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from features import Id
from features.layer import NOT_CHANGED, Layer
from settings import Settings
from stores import Profiles, Unreadable, connect
from stores.redis import shard_catalogue
from stores.redis.shard_catalogue import write_items
from stream.fold import layers
from stream.fold.layers import ShardLayers
from tests.stream.samples import GOODS

SHARDS = 3


@pytest.fixture
def profiles(redis: Settings) -> Iterator[Profiles]:
    with closing(connect(redis.redis)) as client:
        client.flushall()
        yield Profiles(client, "ratings", SHARDS, schema=GOODS.schema)


def withdraw(profiles: Profiles, shard: int, itemid: Id, version: int = 1) -> None:
    with profiles.client.pipeline(transaction=True) as write:
        withdrawn = replace(NOT_CHANGED, version=version, order="w", withdrawn=True)
        write_items(write, profiles.tag(shard), {itemid: withdrawn})
        write.incr(f"{profiles.tag(shard)}:changes")
        write.execute()


def standing(shard: int, changes: int) -> Any:
    """The part of a shard's state that layers read: how often its items changed."""
    return SimpleNamespace(tag=f"shard {shard}", changes=changes)


def no_more_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(layers, "read_numbered_layer", fail)


def test_what_all_shards_store_is_unpacked_once_and_no_batch_reads_it_again(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack, unpacked = shard_catalogue.unpack_changed, list[Id]()

    def counted(schema: Any, itemid: Id, packed: bytes) -> Any:
        unpacked.append(itemid)
        return unpack(schema, itemid, packed)

    monkeypatch.setattr(shard_catalogue, "unpack_changed", counted)
    for shard in range(SHARDS):
        withdraw(profiles, shard, "a-1")
    withdraw(profiles, 1, "new/1")
    shards = ShardLayers(profiles, GOODS.items)
    shards.read_all()
    assert sorted(map(str, unpacked)) == ["a-1", "new/1"]
    no_more_reads(monkeypatch)
    known = [shards.items(shard, standing(shard, 1 + (shard == 1))) for shard in range(SHARDS)]
    assert [each.withdrawn for each in known if isinstance(each, Layer)] == [{"a-1"}, {"a-1", "new/1"}, {"a-1"}]


def test_a_shard_that_was_changed_since_is_read_again_when_it_is_asked_for(profiles: Profiles) -> None:
    shards = ShardLayers(profiles, GOODS.items)
    shards.read_all()
    withdraw(profiles, 2, "a-1")
    later = shards.items(2, standing(2, 1))
    assert isinstance(later, Layer) and later.withdrawn == {"a-1"}
    assert shards.items(0, standing(0, 0)) is GOODS.items


def test_a_shard_that_cannot_be_read_keeps_no_other_from_being_read(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard in range(SHARDS):
        withdraw(profiles, shard, "a-1")
    profiles.client.hset(f"{profiles.tag(1)}:catalogue", "new/1", b"junk")
    shards = ShardLayers(profiles, GOODS.items)
    shards.read_all()
    with pytest.raises(Unreadable, match="the stored change of item new/1 cannot be read"):
        shards.items(1, standing(1, 1))
    no_more_reads(monkeypatch)
    taken = shards.take(2, standing(2, 1))
    assert taken.withdrawn == {"a-1"}
    # What is done to one shard's items does not reach those of another.
    taken.changed.clear()
    left = shards.items(0, standing(0, 1))
    assert isinstance(left, Layer) and left.withdrawn == {"a-1"}
