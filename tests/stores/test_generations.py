"""Generations of the state: their keys, which is live, and shards that are closed."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from settings import Settings
from stores import (
    Changes,
    Closed,
    Generations,
    LockLost,
    OtherVersion,
    PublishLock,
    ShardLost,
    StateStores,
    Wanted,
)
from stores.feast.feature_store import Features
from stores.feast.online_rows import OnlineRows
from stores.redis.connection import Client
from stores.redis.generations import FIRST, LIVE, project_of
from stores.redis.profiles import Profiles
from tests.movielens import SCHEMA, user
from tests.polling import until
from verify.published import look_for_stray_keys
from verify.report import Verified

NOTHING = Changes({}, {}, {}, {})


def of(client: Client, generation: str, partitions: int = 2) -> Profiles:
    return Profiles(client, "ratings", partitions, generation, schema=SCHEMA)


def write(profiles: Profiles, userid: int) -> None:
    for shard in range(profiles.partitions):
        own = {userid: replace(SCHEMA.profile(userid), n=1)} if profiles.shard_of(userid) == shard else {}
        profiles.write_shard(shard, own, {userid: {7: ((1, 5),)}}, {}, [user(userid)] if own else [])


def keys(client: Client) -> set[str]:
    return {key.decode() for key in client.scan_iter()}


def test_the_keys_of_the_first_generation_are_those_of_a_state_from_before_there_were_generations(
    client: Client, redis: Settings
) -> None:
    write(of(client, FIRST), 1)
    shard = of(client, FIRST).shard_of(1)
    assert {f"{{ratings-{shard}}}:profile:1", f"{{ratings-{shard}}}:applied"} <= keys(client)
    assert StateStores.live(redis, client).generation == FIRST
    assert Generations(client).live().previous is None


def test_generations_keep_their_users_apart_and_are_deleted_apart(client: Client) -> None:
    first, second, twelfth = (of(client, name) for name in (FIRST, "g2", "g12"))
    for profiles, userid in ((first, 1), (second, 2), (twelfth, 3)):
        write(profiles, userid)
    assert [profiles.userids() for profiles in (first, second, twelfth)] == [{1}, {2}, {3}]
    result = Verified()
    for profiles in (first, second, twelfth):
        look_for_stray_keys(profiles, result)
    assert result.differences == 0
    second.delete_all()
    assert [profiles.userids() for profiles in (first, second, twelfth)] == [{1}, set(), {3}]
    first.delete_all()
    assert twelfth.userids() == {3}
    assert all(key.startswith("g12:") for key in keys(client))


def test_a_stray_key_of_a_generation_is_found(client: Client) -> None:
    second = of(client, "g2")
    write(second, 2)
    client.set(f"{second.tag(0)}:something", 1)
    result = Verified()
    look_for_stray_keys(second, result)
    assert result.differences == 1


def test_feature_rows_of_generations_are_read_and_deleted_apart(client: Client, redis: Settings) -> None:
    stores = {name: Features(redis, SCHEMA, name) for name in (FIRST, "g2", "g12")}
    row = {**dict.fromkeys(_names(stores[FIRST]), 0), "version": 1}
    for number, (name, features) in enumerate(stores.items()):
        features.write_items([(1, _row(row, number)), (10 + number, _row(row, number))])
        assert OnlineRows(client, project_of(redis.feast.project, name)).ids().items == {1, 10 + number}
    assert [features.items([1])[1]["n"] for features in stores.values()] == [0, 1, 2]
    stores["g2"].delete_all()
    assert [bool(features.items([1])) for features in stores.values()] == [True, False, True]
    stores[FIRST].delete_all()
    assert [bool(features.items([1])) for features in stores.values()] == [False, False, True]


def _names(features: Features) -> list[str]:
    view = features.store.get_feature_view("item")
    return [field.name for field in view.features]


def _row(row: dict, n: int) -> dict:
    lists = {field.name for field in SCHEMA.item_fields if field.length > 1}
    return {name: [0] * 1 if name in lists else value for name, value in row.items()} | {"n": n, "version": n + 1}


def test_nobody_folds_into_a_closed_shard_and_a_fold_that_has_begun_is_not_committed(client: Client) -> None:
    profiles = of(client, FIRST)
    write(profiles, 1)
    begun = profiles.begin(0, Wanted())
    profiles.close(60)
    with pytest.raises(ShardLost):
        begun.commit(5, NOTHING)
    with pytest.raises(Closed):
        profiles.begin(0, Wanted())
    assert profiles.applied() == [-1, -1]
    profiles.reopen()
    profiles.begin(0, Wanted()).commit(5, NOTHING)
    assert profiles.applied() == [5, -1]


def test_shards_that_were_closed_by_one_who_died_open_again_by_themselves(client: Client) -> None:
    profiles = of(client, FIRST)
    write(profiles, 1)
    profiles.close(0.05)
    time.sleep(0.1)
    profiles.begin(0, Wanted()).commit(5, NOTHING)
    assert profiles.applied()[0] == 5


def test_the_switch_closes_the_old_generation_for_good(client: Client) -> None:
    generations, old = Generations(client), of(client, FIRST)
    write(old, 1)
    name = generations.begin()
    assert name == "g2"
    old.close(0.2)
    with PublishLock(client, 10, "rebuild") as lock:
        generations.announce(name, lock)
        assert generations.live().next == name
        generations.switch(name, FIRST, lock, old.closed_keys)
    time.sleep(0.3)
    with pytest.raises(Closed):
        old.begin(0, Wanted())
    live = generations.live()
    assert (live.name, live.previous, live.next) == (name, FIRST, None)
    assert generations.unused() == []


def test_a_switch_is_refused_once_the_old_generation_may_have_been_folded_on(client: Client) -> None:
    generations, old = Generations(client), of(client, FIRST)
    write(old, 1)
    with PublishLock(client, 10, "rebuild") as lock:
        old.close(60)
        client.delete(old.closed_keys[1])
        with pytest.raises(LockLost, match="run it again"):
            generations.switch("g2", FIRST, lock, old.closed_keys)
    assert generations.live().name == FIRST
    assert client.ttl(old.closed_keys[0]) > 0


def test_only_the_holder_of_the_lock_switches(client: Client) -> None:
    generations = Generations(client)
    with PublishLock(client, 10, "rebuild") as lock:
        pass
    with pytest.raises(LockLost):
        generations.switch("g2", FIRST, lock)
    assert generations.live().name == FIRST


def test_more_partitions_close_the_live_generation_for_good_and_the_next_one_has_as_many_shards(
    client: Client, redis: Settings
) -> None:
    generations, old = Generations(client), of(client, FIRST)
    write(old, 1)
    with PublishLock(client, 10, "rebuild") as lock:
        generations.note_partitions(2, lock)
        old.close(60)
        generations.grow(3, 1, lock, old.closed_keys)
        live = generations.live()
        assert (live.name, live.partitions, live.append_over(8)) == (FIRST, 2, 3)
        assert [live.shards_of(name, 8) for name in (FIRST, "g2")] == [2, 3]
        assert StateStores.live(redis, client).profiles.partitions == 2
        assert [client.ttl(key) for key in old.closed_keys] == [-1, -1]
        generations.switch("g2", None, lock, old.closed_keys)
    live = generations.live()
    assert (live.name, live.append_over(8), live.shards_of("g2", 8), live.epochs) == ("g2", 3, 3, 1)
    with PublishLock(client, 10, "rebuild") as lock:
        generations.switch("g3", "g2", lock)
    assert generations.live().append_over(8) == 3
    assert StateStores.live(redis, client).profiles.partitions == 3


def test_the_partitions_of_a_log_that_had_fewer_are_noted_again_after_a_loss_and_kept_by_a_switch(
    client: Client, redis: Settings
) -> None:
    generations = Generations(client)
    with PublishLock(client, 10, "rebuild") as lock:
        generations.note_log(3, 0, lock)
        assert client.get(LIVE) is None
        generations.note_log(3, 1, lock)
        live = generations.live()
        assert (live.append_over(2), live.shards_of(FIRST, 2), live.epochs) == (3, 3, 1)
        generations.switch("g2", None, lock)
    live = generations.live()
    assert (live.append_over(2), live.shards_of("g2", 2), live.epochs) == (3, 3, 1)
    with pytest.raises(LockLost):
        generations.note_log(4, 2, lock)


def test_a_state_is_deleted_with_the_shards_that_the_settings_no_longer_name(client: Client) -> None:
    for name in (FIRST, "g2"):
        write(of(client, name, 5), 1)
    of(client, "g2").delete_all()
    assert keys(client) and not any(key.startswith("g2:") for key in keys(client))
    of(client, FIRST).delete_all()
    assert keys(client) == set()


def test_the_number_of_partitions_stays_where_a_shard_has_opened_again(client: Client) -> None:
    generations, old = Generations(client), of(client, FIRST)
    write(old, 1)
    with PublishLock(client, 10, "rebuild") as lock:
        old.close(60)
        client.delete(old.closed_keys[1])
        with pytest.raises(LockLost, match="run it again"):
            generations.grow(3, 1, lock, old.closed_keys)
    assert generations.live().append_over(2) == 2
    assert client.ttl(old.closed_keys[0]) > 0


def test_events_are_refused_for_a_while_and_no_longer_than_that(client: Client) -> None:
    generations = Generations(client)
    assert generations.followed() == (generations.live(), False)
    assert not generations.refuse_events(60, still=True)
    assert generations.refuse_events(60)
    assert generations.refuse_events(60, still=True)
    assert generations.followed()[1]
    generations.refuse_events(0.1)
    until(lambda: not generations.followed()[1])
    generations.refuse_events(60)
    generations.accept_events()
    assert not generations.followed()[1]


def test_names_are_never_given_twice_and_what_died_unfinished_is_known(client: Client) -> None:
    generations = Generations(client)
    first, second = generations.begin(), generations.begin()
    assert first != second
    assert generations.unused() == sorted([first, second])
    generations.forget(first)
    assert generations.unused() == [second]
    generations.delete_all()
    assert generations.begin() not in (first, second)


def test_a_record_of_another_release_is_refused_in_one_line(client: Client) -> None:
    client.set(LIVE, json.dumps({"schema_version": 2, "name": "g2"}))
    with pytest.raises(OtherVersion, match="go back to the release that wrote it") as refused:
        Generations(client).live()
    assert "\n" not in str(refused.value)
