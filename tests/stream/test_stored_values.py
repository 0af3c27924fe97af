"""No value in Redis can end ingestion: what it touches is a dead letter, and everything else is folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import RECENT, Erasure, Event, ItemCounter, Schema
from settings import Settings
from stores import Gap, Logged, Profiles, Unreadable, connect, view_shard
from stores.feast.feature_store import Features
from stores.redis.packing import (
    SEEN,
    pack_counter,
    pack_profile,
    pack_seen,
    unpack_counter,
    unpack_profile,
    unpack_seen,
    unpack_user,
)
from stream.fold.event_path import Fold
from stream.fold.stores import FoldStores
from stream.troubles import Troubles
from tests import shop
from tests.movielens import DECADES, GENRES, SCHEMA, item, rated

ITEMS = {number: item(number, str(number), 1990, (number,)) for number in (1, 2, 3)}
encode = SCHEMA.events.encode
TAG = "{ratings-0}"
BAD, GOOD = 5, 6
"""A user whose stored values are broken, and one whose are not."""


class Reported(Troubles):
    """Keeps the message of each failure."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(lambda kind, n: None)
        self._messages = messages

    def report(self, kind: str, message: str, n: int = 1, error: BaseException | None = None) -> None:
        super().report(kind, message, n, error)
        self._messages.append(message)


class Folding:
    """One shard that is folded, with everything that the fold reports."""

    def __init__(self, settings: Settings, features: Features) -> None:
        self.client = connect(settings.redis)
        self.client.flushall()
        self.profiles = Profiles(self.client, "ratings", 1, schema=SCHEMA)
        self.features = features
        self.dead: list[tuple[int, str]] = []
        self.damaged: list[str] = []
        self.offset = -1
        self.profiles.write_shard(0, {}, {}, {}, [])
        log_dead: Any = self.log_dead
        stores = FoldStores(SCHEMA, ITEMS, self.profiles, features, log_dead, Reported(self.damaged))
        self.fold = Fold(stores, 86_400.0, lambda shard, first, end: (), waiting_events=10_000)

    def log_dead(self, dead: Sequence[tuple[Logged, str]]) -> Sequence[object]:
        self.dead += [(record.offset, reason) for record, reason in dead]
        return ()

    def send(self, *events: Event | Erasure) -> None:
        records = []
        for event in events:
            self.offset += 1
            records.append(Logged(0, self.offset, *encode(event), (), 2e9))
        folded, refused = self.fold({0: records})
        assert not refused and folded[0].batch.last == self.offset
        assert self.profiles.applied() == self.profiles.visible_offsets() == [self.offset]


@pytest.fixture(scope="module")
def features(redis: Settings) -> Features:
    return Features(redis, SCHEMA)


@pytest.fixture
def folding(redis: Settings, features: Features) -> Iterator[Folding]:
    made = Folding(redis, features)
    with closing(made.client):
        made.send(rated(BAD, 1, 5, 10), rated(GOOD, 1, 5, 10))
        yield made


def profile(userid: int, **fields: Any) -> bytes:
    """A packed profile without events, but with these fields."""
    return pack_profile(replace(SCHEMA.profile(userid), **fields))


VALUES: dict[str, tuple[str, bytes | None]] = {
    "profile that is not msgpack": ("profile:5", b"\xc1"),
    "profile of nothing": ("profile:5", b""),
    "profile that is a number": ("profile:5", msgpack.packb(5)),
    "profile with a field too few": ("profile:5", msgpack.packb([1] * 10)),
    "profile of another user": ("profile:5", profile(7)),
    "profile with negative numbers": ("profile:5", profile(5, n=-1)),
    "profile with huge numbers": ("profile:5", profile(5, n=2**63)),
    "profile with a broken number": ("profile:5", profile(5, n=1.5)),
    "profile beyond the end of time": ("profile:5", profile(5, last_ts=2**52)),
    "profile with items that nobody knows": ("profile:5", profile(5, n=1, recent=[(1, 99, 5)])),
    "profile with other genres": ("profile:5", profile(5, tallies=[[0], *SCHEMA.profile(5).tallies[1:]])),
    "profile with the weight of no genre": ("profile:5", profile(5, weights=[{len(GENRES): 1}, {}])),
    "profile with the weights of one term": ("profile:5", profile(5, weights=[{}])),
    "profile with a rating of nine": ("profile:5", profile(5, n=1, recent=[(1, 1, 9)])),
    "profile with too many events": ("profile:5", profile(5, recent=[(1, 1, 1)] * (RECENT + 1))),
    "profile of another type": ("profile:5", None),
    "no profile beside a seen filter": ("profile:5", b"deleted"),
    "seen filter of another type": ("seen:5", None),
}


@pytest.mark.parametrize("name", VALUES)
def test_events_of_a_user_whose_state_cannot_be_read_are_dead_letters(folding: Folding, name: str) -> None:
    key, value = VALUES[name]
    folding.client.delete(f"{TAG}:{key}")
    if value is None:
        folding.client.rpush(f"{TAG}:{key}", "junk")
    elif value != b"deleted":
        folding.client.set(f"{TAG}:{key}", value)
    before = folding.client.dump(f"{TAG}:{key}")
    folding.send(rated(BAD, 1, 4, 20), rated(GOOD, 1, 4, 20), rated(BAD, 2, 4, 20))
    assert [offset for offset, _ in folding.dead] == [2, 4]
    assert {reason for _, reason in folding.dead} == {"the stored profile of the user cannot be read"}
    assert "stored profile of the user" in folding.damaged[0] and "user 5" in folding.damaged[0]
    assert folding.client.dump(f"{TAG}:{key}") == before, "it is kept as it is, for whoever mends it"
    assert folding.profiles.read_users([GOOD])[GOOD][1] == {1: ((20, 4),)}
    for found in (folding.profiles.read_users([BAD]), view_shard(folding.profiles, 0, [BAD]).users):
        if "nobody knows" not in name:
            assert found.get(BAD, (SCHEMA.profile(BAD), {}))[0] == SCHEMA.profile(BAD), "nothing is made up"
    assert sum(folding.profiles.dead().values()) == 2


@pytest.mark.parametrize("name", VALUES)
def test_a_user_whose_state_cannot_be_read_is_erased_all_the_same(folding: Folding, name: str) -> None:
    key, value = VALUES[name]
    folding.client.delete(f"{TAG}:{key}")
    if value is None:
        folding.client.rpush(f"{TAG}:{key}", "junk")
    elif value != b"deleted":
        folding.client.set(f"{TAG}:{key}", value)
    folding.send(rated(GOOD, 2, 4, 20), Erasure(BAD), rated(GOOD, 1, 4, 20))
    assert folding.profiles.userids() == {GOOD} and not folding.dead
    assert folding.features.users([BAD, GOOD]).keys() == {GOOD}
    assert folding.profiles.shard_counters(0).keys() == {1, 2}


@pytest.mark.parametrize("value", [b"", b"123", SEEN.pack(1, 9)], ids=["empty", "short", "9 stars"])
def test_a_seen_filter_with_an_entry_that_is_none_is_unreadable(folding: Folding, value: bytes) -> None:
    folding.client.hset(f"{TAG}:seen:5", "1", value)
    folding.send(rated(BAD, 1, 4, 20))
    assert [reason for _, reason in folding.dead] == ["the stored profile of the user cannot be read"]


@pytest.mark.parametrize("value", [b"\xc1", pack_counter(ItemCounter(n=-1)), pack_counter(ItemCounter(last_ts=2**40))])
def test_events_of_an_item_whose_counters_cannot_be_read_are_dead_letters(folding: Folding, value: bytes) -> None:
    folding.client.hset(f"{TAG}:items", "1", value)
    folding.send(rated(GOOD, 1, 4, 20), rated(GOOD, 2, 4, 20))
    assert [reason for _, reason in folding.dead] == ["the stored counters of item 1 in {ratings-0} cannot be read"]
    assert folding.profiles.read_users([GOOD])[GOOD][1] == {1: ((10, 5),), 2: ((20, 4),)}
    assert 1 not in folding.profiles.counters([1, 2])
    assert 1 not in folding.profiles.shard_counters(0)


def test_counters_of_another_type_make_dead_letters(folding: Folding) -> None:
    folding.client.delete(f"{TAG}:items")
    folding.client.set(f"{TAG}:items", "junk")
    folding.send(rated(GOOD, 2, 4, 20))
    assert len(folding.dead) == 1
    assert folding.profiles.shard_counters(0) == folding.profiles.counters([2]) == {}


@pytest.mark.parametrize("value", [b"junk", b"", b"1.5", b"9" * 50, b"\xff"])
def test_a_shard_that_does_not_say_how_far_it_is_folded_is_stopped(folding: Folding, value: bytes) -> None:
    folding.client.set(f"{TAG}:applied", value)
    _, refused = folding.fold({0: [Logged(0, 2, *encode(rated(GOOD, 2, 4, 20)))]})
    assert isinstance(refused[0], Gap)
    assert "{ratings-0}:applied in Redis is not an offset" in str(refused[0])
    assert folding.profiles.readable_applied() == [None]
    with pytest.raises(Unreadable, match="is not an offset"):
        folding.profiles.applied()


@pytest.mark.parametrize("kind", ["value", "type"])
def test_attributes_that_cannot_be_read_are_unknown(folding: Folding, kind: str) -> None:
    if kind == "value":
        folding.client.hset(f"{TAG}:users", "5", b"long enough not to be one")
    else:
        folding.client.set(f"{TAG}:users", "junk")
    folding.send(rated(BAD, 2, 4, 20))
    assert not folding.dead
    assert "attributes of user 5" in folding.damaged[0]
    assert folding.features.users([BAD])[BAD]["gender"] == -1


@pytest.mark.parametrize("key", ["dead", "dirty", "served"])
def test_a_key_of_another_type_that_is_only_written_is_reported(folding: Folding, key: str) -> None:
    folding.client.delete(f"{TAG}:{key}")
    folding.client.hset(f"{TAG}:{key}", "a", "b") if key != "dead" else folding.client.set(f"{TAG}:dead", "junk")
    folding.send(rated(GOOD, 2, 4, 20), rated(GOOD, 2, 4, 2**32 - 1))
    assert folding.profiles.read_users([GOOD])[GOOD][1] == {1: ((10, 5),), 2: ((20, 4),)}
    assert bool(folding.damaged) == (key != "served")


def test_a_feature_row_that_cannot_be_written_is_reported_and_the_others_are_written(folding: Folding) -> None:
    keys = [key for key in folding.client.scan_iter(match="*") if not key.startswith(b"{ratings")]
    before = {key: folding.client.hgetall(key) for key in keys if folding.client.type(key) == b"hash"}
    rows = {userid: [key for key in before if userid.to_bytes(8, "little") in key] for userid in (BAD, GOOD)}
    (broken,) = rows[BAD]
    folding.client.delete(broken)
    folding.client.set(broken, "junk")
    folding.send(rated(BAD, 2, 4, 20), rated(GOOD, 2, 4, 20))
    assert not folding.dead
    assert any("feature row of user 5" in message for message in folding.damaged)
    assert folding.features.users([BAD, GOOD]).keys() == {GOOD}
    assert folding.features.users([GOOD])[GOOD]["n"] == 2


of_each_schema = pytest.mark.parametrize("schema", [SCHEMA, shop.SCHEMA], ids=["films", "goods"])


@of_each_schema
@given(packed=st.binary(max_size=60))
def test_any_bytes_are_a_value_or_unreadable(schema: Schema, packed: bytes) -> None:
    for unpack in (
        partial(unpack_profile, schema),
        unpack_counter,
        partial(unpack_seen, schema.codes),
        partial(unpack_user, schema, 1),
    ):
        try:
            unpack(packed)
        except Unreadable as error:
            assert "\n" not in str(error)


@of_each_schema
@given(
    value=st.recursive(
        st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1), st.binary(), st.text(), st.floats()), st.lists
    )
)
def test_any_msgpack_is_a_value_or_unreadable(schema: Schema, value: object) -> None:
    for unpack in (partial(unpack_profile, schema), unpack_counter):
        try:
            unpack(msgpack.packb(value))
        except Unreadable:
            continue


def test_what_is_packed_is_readable() -> None:
    full = replace(
        SCHEMA.profile(2**31 - 1),
        version=2**32 - 1,
        n=5000,
        likes=4000,
        last_ts=2**32 - 1,
        tallies=[[9] * len(values) for values in (GENRES, GENRES, DECADES, DECADES)],
        weights=[{genre: -(2**1700) + genre for genre in range(len(GENRES))}, {}],
        recent=[(2**32 - 1, 2**31 - 1, 5)] * RECENT,
    )
    assert unpack_profile(SCHEMA, pack_profile(full)) == full
    goods = shop.SCHEMA.profile("\u2603" * 128)
    goods = replace(goods, n=3, recent=[(1, "\u2603" * 128, shop.VIEW), (2**32 - 1, "b", shop.PURCHASE)])
    assert unpack_profile(shop.SCHEMA, pack_profile(goods)) == goods
    seen = ((2**32 - 1, shop.VIEW), (0, shop.PURCHASE))
    assert unpack_seen(shop.SCHEMA.codes, pack_seen(seen)) == seen
    counter = ItemCounter(2, 1, 2**32 - 1, {7101: [2, 1], 7100: [-1, 0]})
    assert unpack_counter(pack_counter(counter)) == counter
