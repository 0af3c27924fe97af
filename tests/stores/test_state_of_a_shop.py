"""The state of a shop in Redis: ids that are texts, and several events of a user with an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from features import Codes, Id, ItemCounter, Profile, Seen, count, take_out
from settings import Settings
from stores import (
    Changes,
    NotPublished,
    OtherVersion,
    Published,
    Snapshot,
    StateStores,
    Unreadable,
    Wanted,
    project_of,
    view_shard,
)
from stores.feast.online_rows import OnlineRows
from stores.redis.connection import connect
from stores.redis.erased_users import ErasedUsers
from stores.redis.eviction import evict, last_events
from stores.redis.generations import FIRST
from stores.redis.published import SCHEMA as SCHEMA_KEY
from stores.redis.published import STATE
from stores.redis.unpublished_items import UnpublishedItems
from tests import movielens, shop
from tests.shop import CART, PURCHASE, SCHEMA, VIEW

USERS = ("7", "07", "u:1", "ü {x}", "*", "a?[b]\\", "evicted", "profile:u:1", "-", "x" * 128, "😀", "1e3", "\x80\xa0")
"""Ids that have a meaning elsewhere: in keys and patterns of Redis, as numbers, or in another encoding."""

ITEMS = ("i:1", "ï{}", "*", "-", "7", "07")
ONE = ITEMS[0]


def seen_of(userid: str) -> dict[Id, Seen]:
    """A seen filter that differs from user to user."""
    ts = USERS.index(userid) + 1
    return {itemid: ((ts + place, VIEW), (ts, PURCHASE))[: 1 + place % 2] for place, itemid in enumerate(ITEMS)}


def profile_of(userid: str) -> Profile:
    recent = [(rated[0], itemid, rated[1]) for itemid, seen in seen_of(userid).items() for rated in seen]
    last = max(ts for ts, _, _ in recent)
    return replace(SCHEMA.profile(userid), version=1, n=len(recent), last_ts=last, recent=sorted(recent))


def counters_of(codes: Codes, users: Mapping[Id, Mapping[Id, Seen]]) -> dict[Id, ItemCounter]:
    counters: dict[Id, ItemCounter] = {}
    for seen in users.values():
        for itemid, events in seen.items():
            for rated in events:
                count(codes, counters.setdefault(itemid, ItemCounter()), None, rated)
    return counters


@pytest.fixture
def state(redis: Settings) -> StateStores:
    """A state of three shards, of which some events are folded."""
    client = connect(redis.redis)
    client.flushall()
    three = redis.model_copy(update={"kafka": redis.kafka.model_copy(update={"partitions": 3})})
    state = StateStores.of(three, FIRST, client)
    if state.profiles.evicted is not None:
        state.profiles.evicted.delete_all()
    state.published.begin_snapshot("a", SCHEMA)
    for shard in range(3):
        users = [userid for userid in USERS if state.profiles.shard_of(userid) == shard]
        seen: dict[Id, dict[Id, Seen]] = {userid: seen_of(userid) for userid in users}
        profiles: dict[Id, Profile] = {userid: profile_of(userid) for userid in users}
        known = [shop.user(userid, 1) for userid in users]
        state.profiles.write_shard(shard, profiles, seen, counters_of(SCHEMA.codes, seen), known)
    return state


def test_users_with_any_ids_are_found_and_read_as_they_were_written(state: StateStores) -> None:
    profiles = state.profiles
    assert profiles.userids() == {*USERS}
    assert profiles.read_users([*USERS, "nobody"]) == {
        userid: (profile_of(userid), seen_of(userid)) for userid in USERS
    }
    assert {userid for shard in range(3) for userid in profiles.attributed(shard)} == {*USERS}
    assert profiles.attributes(["7", "nobody"]) == {"7": shop.user("7", 1), "nobody": shop.user("nobody")}
    views = [view_shard(profiles, shard, USERS) for shard in range(3)]
    assert {userid for view in views for userid in view.users} == {*USERS}
    assert [view.counters for view in views] == [profiles.shard_counters(shard) for shard in range(3)]
    partials = profiles.counters(ITEMS)
    assert sum(partial.n for partial in partials[ITEMS[0]]) == len(USERS)
    assert sum(partial.n for partial in partials[ITEMS[1]]) == 2 * len(USERS)


@pytest.mark.parametrize("userid", USERS)
def test_lists_leave_out_what_was_purchased_and_not_what_was_viewed(state: StateStores, userid: str) -> None:
    profile, seen, applied, _ = state.profiles.profile(userid)
    assert (profile, applied) == (profile_of(userid), -1)
    assert seen == {itemid: bool(place % 2) for place, itemid in enumerate(ITEMS)}


def test_a_damaged_entry_of_a_seen_filter_makes_the_user_unreadable_and_no_other(state: StateStores) -> None:
    profiles = state.profiles
    tag = profiles.tag(profiles.shard_of("u:1"))
    profiles.client.hset(f"{tag}:seen:u:1", ONE, b"\0")
    with pytest.raises(Unreadable):
        profiles.profile("u:1")
    assert profiles.read_users(USERS).keys() == {*USERS} - {"u:1"}
    transaction = profiles.begin(profiles.shard_of("u:1"), Wanted([("u:1", ONE)]))
    assert transaction.state.unreadable_users == {"u:1"}
    transaction.abandon()


def test_an_event_of_another_type_is_kept_beside_the_earlier_one(state: StateStores) -> None:
    profiles = state.profiles
    shard = profiles.shard_of("u:1")
    transaction = profiles.begin(shard, Wanted([("u:1", ONE), ("u:1", "new"), ("somebody", ONE)], ["07"]))
    before = transaction.state
    assert before.rated == {("u:1", ONE): seen_of("u:1")[ONE]}
    assert before.profiles["u:1"] == profile_of("u:1") and before.profiles["somebody"] == SCHEMA.profile("somebody")
    assert before.users["u:1"] == shop.user("u:1", 1) and before.users["somebody"] == shop.user("somebody")
    assert before.counters["new"] == ItemCounter() and not before.unreadable_users
    both = (*seen_of("u:1")[ONE], (50, CART))
    changed = profile_of("u:1")
    changed.version = 2
    counter = before.counters[ONE]
    count(SCHEMA.codes, counter, None, (50, CART))
    transaction.commit(4, Changes({"u:1": changed}, {("u:1", ONE): both}, {ONE: counter}, {}))
    assert profiles.read_users(["u:1"]) == {"u:1": (changed, seen_of("u:1") | {ONE: both})}
    assert profiles.shard_counters(shard)[ONE] == counter
    assert view_shard(profiles, shard).unpublished == {ONE}
    unpublished = UnpublishedItems(profiles)
    assert unpublished.take() == [ONE]
    unpublished.published([ONE])
    assert unpublished.count() == 0


def test_evicted_users_with_any_ids_are_read_as_before_and_come_back(state: StateStores, redis: Settings) -> None:
    profiles = state.profiles
    rows = OnlineRows(profiles.client, project_of(redis.feast.project, FIRST))
    for shard in range(3):
        users = list(last_events(profiles, shard))
        assert {*users} == {userid for userid in USERS if profiles.shard_of(userid) == shard}
        assert evict(profiles, rows, shard, users) == len(users)
    assert profiles.evicted_among(USERS) == {*USERS} == profiles.userids()
    assert profiles.read_users(USERS) == {userid: (profile_of(userid), seen_of(userid)) for userid in USERS}
    assert profiles.profile("ü {x}")[1] == {itemid: bool(place % 2) for place, itemid in enumerate(ITEMS)}
    shard = profiles.shard_of("07")
    transaction = profiles.begin(shard, Wanted([("07", ONE)]))
    assert transaction.state.rated == {("07", ONE): seen_of("07")[ONE]}
    transaction.commit(5, Changes({"07": profile_of("07")}, {("07", ONE): ((99, VIEW),)}, {}, {}))
    assert profiles.evicted_among(USERS) == {*USERS} - {"07"}
    assert profiles.read_users(["07"])["07"][1] == seen_of("07") | {ONE: ((99, VIEW),)}
    assert profiles.evicted is not None
    profiles.evicted.erase(["7"])
    assert [profiles.evicted.rows_of(userid) for userid in ("7", "07", "u:1")] == [0, 1, 1]


@pytest.mark.parametrize("evicted", [False, True])
@pytest.mark.parametrize("userid", USERS)
def test_counters_without_an_erased_user_are_those_of_the_others(
    state: StateStores, redis: Settings, userid: str, evicted: bool
) -> None:
    profiles, shard = state.profiles, state.profiles.shard_of(userid)
    of_shard = [known for known in USERS if profiles.shard_of(known) == shard]
    if evicted:
        evict(profiles, OnlineRows(profiles.client, project_of(redis.feast.project, FIRST)), shard, of_shard)
    erased = ErasedUsers(profiles, shard, [userid])
    events = erased.events()
    assert events == {itemid: [*seen] for itemid, seen in seen_of(userid).items()}
    left = take_out(SCHEMA.codes, events, erased.counters(events.keys()), erased.others)
    others = counters_of(SCHEMA.codes, {known: seen_of(known) for known in of_shard if known != userid})
    assert {itemid: counter for itemid, counter in left.items() if counter.n} == others
    profiles.begin(shard, Wanted()).commit(3, Changes({}, {}, left, {}, erased=[userid]))
    assert profiles.userids() == {*USERS} - {userid} and userid not in profiles.attributed(shard)
    assert profiles.shard_counters(shard) == others


def test_notices_name_items_with_any_ids(published: Published) -> None:
    published.tell_items(["b", "ü"])
    published.tell_items(["a", "b"])
    position, changed = published.changed_items("0-0")
    assert changed == ["a", "b", "ü"]
    published.tell_items([7])
    published.tell_items(["a"])
    assert published.changed_items(position)[1] is None, "these are of no one data set"


def test_a_state_has_its_schema_and_its_catalogue(published: Published) -> None:
    with pytest.raises(NotPublished, match="`reelstream publish`"):
        published.schema()
    published.begin_snapshot("a", SCHEMA)
    assert published.schema() == SCHEMA
    items = {item.itemid: item for item in (shop.item("a", "A", (1,), 3, 5.0), shop.item("b"))}
    published.set_catalogue(items)
    assert published.catalogue() == items
    published.require_state_version()
    generation = Published(published.client, "g2")
    with pytest.raises(NotPublished):
        generation.schema()
    generation.begin_snapshot("a", movielens.SCHEMA)
    assert (published.schema(), generation.schema()) == (SCHEMA, movielens.SCHEMA)
    generation.delete_all()
    with pytest.raises(NotPublished):
        generation.schema()
    assert published.schema() == SCHEMA


def test_a_state_without_a_schema_is_of_movielens(published: Published) -> None:
    snapshot = Snapshot(data_hash="a", created="2026-01-01T00:00:00+00:00", events=1, users=1, items=1)
    published.begin_snapshot("a", movielens.SCHEMA)
    published.set_snapshot(snapshot)
    published.client.delete(SCHEMA_KEY)
    assert published.schema() == movielens.SCHEMA
    published.require_state_version()
    published.client.set(STATE, SCHEMA.state_version)
    declared = movielens.SCHEMA.state_version
    with pytest.raises(OtherVersion, match=f"version {SCHEMA.state_version}, this release has {declared}"):
        published.require_state_version()


def test_a_state_of_a_shop_is_not_folded_into_once_it_has_other_counts(published: Published) -> None:
    published.begin_snapshot("a", SCHEMA)
    published.client.set(STATE, stored := movielens.SCHEMA.state_version)
    with pytest.raises(OtherVersion, match=f"version {stored}, this release has {SCHEMA.state_version}"):
        published.require_state_version()
