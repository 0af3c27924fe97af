"""Users whose profiles are in a file instead of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from features import Profile
from settings import Settings
from stores import Changes, Closed, ShardLost, StateStores, Unreadable, Wanted, project_of, view_shard
from stores.evicted import EvictedUsers
from stores.feast.online_rows import OnlineRows
from stores.redis.connection import connect
from stores.redis.eviction import evict, last_events
from stores.redis.generations import FIRST
from stores.redis.profiles import Profiles
from stores.redis.shard_transaction import ShardTransaction
from stream.fold.evictor import DAY_S, evict_inactive
from tests.movielens import SCHEMA, user
from verify.published import look_for_stray_keys
from verify.report import Verified

KEPT = replace(SCHEMA.profile(7), version=2, n=2, likes=1, first_ts=1, last_ts=9, recent=[(1, 1, 5), (9, 2, 1)])
SEEN = {1: ((1, 5),), 2: ((9, 1),)}


def of(userid: int, version: int, last_ts: int = 0) -> Profile:
    return replace(SCHEMA.profile(userid), version=version, last_ts=last_ts)


@pytest.fixture
def state(redis: Settings) -> StateStores:
    """A state of one shard with a user, of which the events up to offset 4 are folded."""
    client = connect(redis.redis)
    client.flushall()
    one = redis.model_copy(update={"kafka": redis.kafka.model_copy(update={"partitions": 1})})
    state = StateStores.of(one, FIRST, client)
    state.profiles.delete_all()
    state.published.begin_snapshot("a", SCHEMA)
    state.profiles.write_shard(0, {7: KEPT}, {7: SEEN}, {}, [user(7, 1, 2, 3)])
    state.profiles.begin(0, Wanted()).commit(4, Changes({}, {}, {}, {}))
    return state


def gone(profiles: Profiles, redis: Settings, userids: Sequence[int] = (7,)) -> int:
    return evict(profiles, OnlineRows(profiles.client, project_of(redis.feast.project, FIRST)), 0, userids)


def test_an_evicted_user_is_read_as_before_although_redis_holds_neither_profile_nor_filter(
    state: StateStores, redis: Settings
) -> None:
    profiles = state.profiles
    assert gone(profiles, redis) == 1
    assert not profiles.client.exists(f"{profiles.tag(0)}:profile:7", f"{profiles.tag(0)}:seen:7")
    profile, seen, applied, _ = profiles.profile(7)
    assert (profile, sorted(seen), applied) == (KEPT, [1, 2], 4)
    assert profiles.read_users([6, 7]) == {7: (KEPT, SEEN)} == view_shard(profiles, 0, [6, 7]).users
    assert profiles.userids() == {7} == profiles.evicted_among([6, 7])
    result = Verified()
    look_for_stray_keys(profiles, result)
    assert result.differences == 0
    assert gone(profiles, redis) == 0, "there is nothing more to evict"


def test_the_next_event_brings_the_user_back_with_the_whole_filter(state: StateStores, redis: Settings) -> None:
    profiles = state.profiles
    gone(profiles, redis)
    transaction = profiles.begin(0, Wanted([(7, 1), (7, 3)]))
    assert transaction.state.profiles[7] == KEPT and transaction.state.rated == {(7, 1): SEEN[1]}
    changed = KEPT.copy()
    changed.version += 1
    transaction.commit(5, Changes({7: changed}, {(7, 3): ((11, 4),)}, {}, {}))
    assert profiles.evicted_among([7]) == set()
    assert profiles.read_users([7]) == {7: (changed, SEEN | {3: ((11, 4),)})}
    assert profiles.client.hlen(f"{profiles.tag(0)}:seen:7") == 3


def test_an_event_that_changes_nothing_leaves_the_user_evicted(state: StateStores, redis: Settings) -> None:
    profiles = state.profiles
    gone(profiles, redis)
    profiles.begin(0, Wanted([(7, 1)])).commit(5, Changes({}, {}, {}, {}))
    assert profiles.evicted_among([7]) == {7}
    assert profiles.read_users([7]) == {7: (KEPT, SEEN)}


def test_a_fold_that_has_begun_is_refused_once_a_user_was_evicted_and_the_other_way_round(
    state: StateStores, redis: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = state.profiles
    begun: ShardTransaction = profiles.begin(0, Wanted([(7, 1)]))
    gone(profiles, redis)
    with pytest.raises(ShardLost):
        begun.commit(5, Changes({7: KEPT}, {}, {}, {}))
    assert profiles.applied() == [4]
    profiles.begin(0, Wanted([(7, 1)])).commit(5, Changes({7: KEPT}, {}, {}, {}))
    put = EvictedUsers.put

    def fold_meanwhile(self: EvictedUsers, *arguments: object) -> None:
        put(self, *arguments)  # type: ignore[arg-type]
        profiles.begin(0, Wanted([(7, 1)])).commit(6, Changes({}, {}, {}, {}))

    monkeypatch.setattr(EvictedUsers, "put", fold_meanwhile)
    assert gone(profiles, redis) == 0
    assert profiles.evicted_among([7]) == set() and profiles.read_users([7]) == {7: (KEPT, SEEN)}


def test_nobody_is_evicted_from_a_closed_shard(state: StateStores, redis: Settings) -> None:
    state.profiles.close(60)
    assert gone(state.profiles, redis) == 0
    with pytest.raises(Closed):
        state.profiles.begin(0, Wanted())


def test_a_user_whose_file_is_lost_is_damaged_and_not_new(state: StateStores, redis: Settings) -> None:
    profiles = state.profiles
    gone(profiles, redis)
    assert profiles.evicted is not None
    profiles.evicted.delete_all()
    with pytest.raises(Unreadable, match=r"user 7 was evicted, .* run `reelstream rebuild`"):
        profiles.profile(7)
    transaction = profiles.begin(0, Wanted([(7, 1)]))
    assert transaction.state.unreadable_users == {7}
    transaction.abandon()
    assert profiles.read_users([7]) == {}


def test_a_redis_that_has_lost_the_return_of_a_user_finds_the_user_as_evicted(
    state: StateStores, redis: Settings
) -> None:
    profiles = state.profiles
    gone(profiles, redis)
    mark = profiles.client.hgetall(f"{profiles.tag(0)}:evicted")
    profiles.begin(0, Wanted([(7, 3)])).commit(5, Changes({7: of(7, version=9)}, {(7, 3): ((11, 4),)}, {}, {}))
    gone(profiles, redis)
    profiles.client.delete(f"{profiles.tag(0)}:evicted")
    profiles.client.hset(f"{profiles.tag(0)}:evicted", mapping=mark)  # type: ignore[arg-type]
    assert profiles.read_users([7]) == {7: (KEPT, SEEN)}


def test_of_an_erased_user_the_file_holds_no_byte(state: StateStores, redis: Settings) -> None:
    profiles = state.profiles
    profiles.begin(0, Wanted([(8, 1)])).commit(5, Changes({8: of(8, version=1)}, {(8, 424242): ((77, 4),)}, {}, {}))
    gone(profiles, redis, [7, 8])
    assert profiles.evicted is not None
    folder = redis.evicted_folder

    def content() -> bytes:
        return b"".join(path.read_bytes() for path in folder.iterdir())

    assert profiles.evicted.rows_of(8) == 1 and b"424242" in content()
    profiles.evicted.erase([8])
    assert profiles.evicted.rows_of(8) == 0 and b"424242" not in content()
    assert profiles.read_users([7]) == {7: (KEPT, SEEN)}
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.sqlite")} == {0o600}


def test_the_file_goes_with_the_generation(state: StateStores, redis: Settings) -> None:
    gone(state.profiles, redis)
    assert list(redis.evicted_folder.glob("first.sqlite*"))
    state.profiles.delete_all()
    assert not list(redis.evicted_folder.glob("first.sqlite*"))


def test_users_without_events_for_long_are_evicted_and_no_others(state: StateStores, redis: Settings) -> None:
    days = redis.model_copy(update={"stream": redis.stream.model_copy(update={"inactive_days": 30.0})})
    newest = 9 + 100 * DAY_S
    active = {8: of(8, 1, last_ts=newest), 9: of(9, 1, last_ts=newest - 29 * DAY_S)}
    state.profiles.begin(0, Wanted()).commit(5, Changes(active, {}, {}, {}))
    assert last_events(state.profiles, 0) == {7: 9, 8: newest, 9: newest - 29 * DAY_S}
    assert evict_inactive(redis, state, 0) == 0, "by default nobody is"
    assert evict_inactive(days, state, 0) == 1
    assert state.profiles.evicted_among([7, 8, 9]) == {7}
    assert evict_inactive(days, state, 0) == 0
