"""Saved states without erased users."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from features import Catalogue, Event, Id, User
from lifecycle.erasure.due import Due
from lifecycle.erasure.history import rewrite_snapshots
from lifecycle.forgotten.files import in_files
from lifecycle.forgotten.mentions import Mentions
from offline.state import saved_shard, state_snapshot
from offline.state.snapshot import Beginning, Shards
from offline.state.waiting_records import as_records
from settings import Settings
from stores.kafka.log_check import LogIdentity
from stores.redis.packed_changes import pack_changed, pack_waiting
from stores.redis.packing import pack_counter, pack_profile, pack_user
from tests import shop
from tests.lifecycle.test_erasure_files import ITEMS, USERS, settings_in
from tests.movielens import SCHEMA, user
from tests.shop import CART, PURCHASE, VIEW


def of(users: dict[Id, User]) -> Catalogue:
    return Catalogue(ITEMS, users, 3)


def write_snapshot(settings: Settings, state: Beginning) -> str:
    """Save a state of one shard that no Redis holds; its name."""
    now, folder = state_snapshot._begin(settings)
    of_shard = state.shards.states[0]
    content: saved_shard.ShardContent = {
        "users": {userid: (pack_profile(held), of_shard.seen[userid]) for userid, held in of_shard.profiles.items()},
        "counters": {itemid: pack_counter(counter) for itemid, counter in of_shard.counters.items()},
        "dead": state.dead[0],
        "attributes": {user.userid: pack_user(state.shards.schema, user) for user in state.shards.users(0)},
        "layer": {itemid: pack_changed(changed) for itemid, changed in of_shard.layer.changed.items()},
        "waiting": {
            itemid: pack_waiting(records)
            for itemid, records in as_records(state.shards.schema, of_shard.waiting).items()
        },
    }
    file = saved_shard.write(folder, 0, content, state.next_offsets[0])
    return state_snapshot._complete(folder, now, state.shards.schema, "hash", LogIdentity("cluster", "topic"), [file])


@pytest.mark.parametrize("writes", range(4))
def test_a_saved_state_is_read_and_rewritten_again_wherever_its_rewriting_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    settings, catalogue = settings_in(tmp_path), of({1: user(1), 2: user(2)})
    shards = Shards(SCHEMA, catalogue, 1)
    for event in (Event(1, 1, 5, 100), Event(2, 1, 4, 50)):
        shards.states[0].step(event)
    name = write_snapshot(settings, Beginning(shards, Shards(SCHEMA, catalogue, 1), {0: 7}, [{}]))

    class Killed(Exception):
        pass

    done = []

    def dying(as_it_is: Callable[..., None]) -> Callable[..., None]:
        def one_more(*given: object) -> None:
            if len(done) == writes:
                raise Killed
            done.append(as_it_is(*given))

        return one_more

    with monkeypatch.context() as patch:
        for owner, method in ((saved_shard.durable, "write"), (saved_shard, "settle")):
            patch.setattr(owner, method, dying(getattr(owner, method)))
        with pytest.raises(Killed):
            state_snapshot.rewrite_without(settings, name, catalogue, {1})
    assert 2 in state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states[0].profiles
    state_snapshot.rewrite_without(settings, name, catalogue, {1})
    assert state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states[0].profiles.keys() == {2}
    assert list(in_files(settings, Mentions(1))) == []


def test_a_saved_state_loses_the_user_as_if_there_had_never_been_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    catalogue = of({1: user(1), 2: user(2)})
    events = [Event(1, 1, 5, 100), Event(2, 1, 4, 50), Event(1, 2, 3, 60), Event(2, 3, 5, 70)]

    def saved(kept: list[Event]) -> Beginning:
        shards = Shards(SCHEMA, catalogue, 1)
        for event in kept:
            shards.states[0].step(event)
        return Beginning(shards, Shards(SCHEMA, catalogue, 1), {0: 7}, [{"reason": 2}])

    name = write_snapshot(settings, saved(events))
    assert state_snapshot.rewrite_without(settings, name, catalogue, {1, 9})
    assert not state_snapshot.rewrite_without(settings, name, catalogue, {1})
    found = state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1))
    expected = saved([event for event in events if event.userid != 1]).shards.states[0]
    assert (found.shards.states[0].profiles, found.shards.states[0].counters) == (expected.profiles, expected.counters)
    assert (found.next_offsets, found.dead) == ({0: 7}, [{"reason": 2}])
    assert list(in_files(settings, Mentions(1))) == []


def test_a_saved_state_remembers_of_whom_it_knows_nothing_any_more(tmp_path: Path) -> None:
    settings, catalogue = settings_in(tmp_path), of({1: user(1, 1, 2, 3), 2: user(2, 0, 1, 4)})
    shards = Shards(SCHEMA, catalogue, 1)
    shards.states[0].step(Event(1, 1, 5, 100))
    shards.states[0].erase(1)
    shards.states[0].step(Event(1, 2, 5, 200))  # who came back
    name = write_snapshot(settings, Beginning(shards, Shards(SCHEMA, catalogue, 1), {0: 7}, [{}]))
    (state,) = state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states
    assert (state.erased, state.user(1), state.user(2)) == ({1}, user(1), catalogue.users[2])
    assert state_snapshot.rewrite_without(settings, name, of({1: catalogue.users[1]}), {2})
    (state,) = state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states
    assert (state.erased, state.profiles.keys()) == ({1, 2}, {1})
    assert list(in_files(settings, Mentions(2))) == []


def test_a_saved_state_of_the_first_version_knows_all_users_of_the_catalogue(tmp_path: Path) -> None:
    settings, catalogue = settings_in(tmp_path), of({1: user(1, 1, 2, 3)})
    now, folder = state_snapshot._begin(settings)
    file = saved_shard.write(folder, 0, {"users": {}, "counters": {}, "dead": {}}, 7)  # type: ignore[typeddict-item]
    name = state_snapshot._complete(folder, now, SCHEMA, "hash", LogIdentity("cluster", "topic"), [file])
    fields = json.loads((folder / state_snapshot.MANIFEST).read_text())
    (folder / state_snapshot.MANIFEST).write_text(json.dumps(fields | {"schema_version": 1}))
    (state,) = state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states
    assert state.user(1) == catalogue.users[1]


@pytest.mark.parametrize(
    ("topic", "given_up", "base", "left"),
    [("topic", (), None, {1, 3}), ("other", (), None, {3}), ("topic", (3,), None, {1}), ("topic", (3,), "own", {1, 3})],
)
def test_what_a_saved_state_holds_of_a_user_who_was_erased_before_stays(
    tmp_path: Path, topic: str, given_up: tuple[int, ...], base: str | None, left: set[int]
) -> None:
    settings, catalogue = settings_in(tmp_path), of({})
    shards = Shards(SCHEMA, catalogue, 1)
    for userid in USERS:
        shards.states[0].step(Event(userid, 1, 5, 100))
    name = write_snapshot(settings, Beginning(shards, Shards(SCHEMA, catalogue, 1), {0: 7}, [{}]))
    dues = {0: Due({1: 6, 2: 7})}
    assert rewrite_snapshots(settings, catalogue, topic, dues, given_up, name if base else None) == 1
    (state,) = state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states
    assert state.profiles.keys() == left


def test_a_saved_state_of_a_shop_loses_the_user_as_if_there_had_never_been_one(tmp_path: Path) -> None:
    settings, items = settings_in(tmp_path), [shop.item("a", "A", (0, 2), 3, 5.0), shop.item("b")]
    catalogue = shop.catalogue(items, [shop.user("u:1", 1), shop.user("ü", 0)])
    events = [
        shop.event("u:1", "a", PURCHASE, 100),
        shop.event("ü", "a", VIEW, 50),
        shop.event("ü", "a", CART, 60),
        shop.event("u:1", "b", VIEW, 60),
        shop.event("guest", "b", VIEW, 70),
    ]

    def saved(kept: list[Event]) -> Beginning:
        shards = Shards(shop.SCHEMA, catalogue, 1)
        for event in kept:
            shards.states[0].step(event)
        return Beginning(shards, Shards(shop.SCHEMA, catalogue, 1), {0: 7}, [{}])

    name = write_snapshot(settings, saved(events))
    assert [*in_files(settings, Mentions("u:1"))] != [] == [*in_files(settings, Mentions("u"))]
    assert state_snapshot.rewrite_without(settings, name, catalogue, {"u:1", "nobody"})
    (found,) = state_snapshot.read(settings, name, Shards(shop.SCHEMA, catalogue, 1)).shards.states
    (expected,) = saved([event for event in events if event.userid != "u:1"]).shards.states
    assert (found.profiles, found.seen, found.counters) == (expected.profiles, expected.seen, expected.counters)
    assert found.user("u:1") == shop.user("u:1") and found.user("ü") == catalogue.users["ü"]
    assert [*in_files(settings, Mentions("u:1"))] == []
