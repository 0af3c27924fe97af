"""Counters that are read again and again are those that Redis holds, whatever changed in between."""

from __future__ import annotations

import pytest

from features import ItemCounter
from features.counters import merge
from stores import KnownCounters, Profiles
from stores.redis import known_counters
from stores.redis.connection import Client
from stores.redis.packing import pack_counter
from tests.movielens import SCHEMA


@pytest.fixture
def profiles(client: Client) -> Profiles:
    return Profiles(client, "ratings", 2, schema=SCHEMA)


def put(profiles: Profiles, shard: int, **counters: ItemCounter | bytes) -> None:
    packed = {
        name.removeprefix("i"): value if isinstance(value, bytes) else pack_counter(value)
        for name, value in counters.items()
    }
    profiles.client.hset(f"{profiles.tag(shard)}:items", mapping=packed)


def test_changes_are_read_and_nothing_else_is_unpacked(profiles: Profiles, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[bytes] = []

    def unpack(packed: bytes) -> ItemCounter:
        unpacked.append(packed)
        return original(packed)

    original = known_counters.unpack_counter
    monkeypatch.setattr(known_counters, "unpack_counter", unpack)
    known = KnownCounters(profiles)
    assert known.read() == {}
    one, two = ItemCounter(3, 2, 700_000, {1: [3, 2]}), ItemCounter(1, 0, 1_400_000, {2: [1, 0]})
    put(profiles, 0, i7=one, i8=two)
    put(profiles, 1, i7=two)
    assert known.read() == {7: merge([one, two]), 8: two} and len(unpacked) == 3
    unpacked.clear()
    assert known.read() == {7: merge([one, two]), 8: two} and unpacked == []
    put(profiles, 1, i9=one)
    assert known.read() == {7: merge([one, two]), 8: two, 9: one} and len(unpacked) == 1
    profiles.client.hdel(f"{profiles.tag(0)}:items", "7", "8")
    assert known.read() == {7: two, 8: ItemCounter(), 9: one}


def test_an_item_whose_counters_cannot_be_read_has_none_until_they_can(profiles: Profiles) -> None:
    known, one = KnownCounters(profiles), ItemCounter(3, 2, 700_000, {1: [3, 2]})
    put(profiles, 0, i7=one, i8=one)
    put(profiles, 1, i7=b"junk", ijunk=one)
    assert known.read() == {8: one}
    put(profiles, 1, i7=one)
    assert known.read() == {7: merge([one, one]), 8: one}
    profiles.client.set(f"{profiles.tag(0)}:items", "another type")
    assert known.read() == {7: one, 8: ItemCounter()}
