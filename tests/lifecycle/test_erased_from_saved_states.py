"""Saved states without erased users."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from features import Catalogue, Event, User
from lifecycle.erasure.due import Due
from lifecycle.erasure.history import rewrite_snapshots
from lifecycle.forgotten.files import in_files
from lifecycle.forgotten.mentions import Mentions
from offline.state import saved_shard, state_snapshot
from offline.state.snapshot import Beginning, Shards
from settings import Settings
from stores.kafka.log_check import LogIdentity
from stores.redis.packing import pack_counter, pack_profile
from tests.lifecycle.test_erasure_files import ITEMS, USERS, settings_in


def write_snapshot(settings: Settings, state: Beginning) -> str:
    """Save a state of one shard that no Redis holds; its name."""
    now, folder = state_snapshot._begin(settings)
    of_shard = state.shards.states[0]
    content: saved_shard.ShardContent = {
        "users": {userid: (pack_profile(held), of_shard.seen[userid]) for userid, held in of_shard.profiles.items()},
        "counters": {itemid: pack_counter(counter) for itemid, counter in of_shard.counters.items()},
        "dead": state.dead[0],
        "attributed": sorted(state.shards.catalogue.users.keys() - of_shard.erased),
    }
    file = saved_shard.write(folder, 0, content, state.next_offsets[0])
    return state_snapshot._complete(folder, now, "hash", LogIdentity("cluster", "topic"), [file])


@pytest.mark.parametrize("writes", range(4))
def test_a_saved_state_is_read_and_rewritten_again_wherever_its_rewriting_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    settings, catalogue = settings_in(tmp_path), Catalogue(ITEMS, {1: User(1), 2: User(2)})
    shards = Shards(catalogue, 1)
    for event in (Event(1, 1, 5, 100), Event(2, 1, 4, 50)):
        shards.states[0].step(event)
    name = write_snapshot(settings, Beginning(shards, Shards(catalogue, 1), {0: 7}, [{}]))

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
    assert 2 in state_snapshot.read(settings, name, Shards(catalogue, 1)).shards.states[0].profiles
    state_snapshot.rewrite_without(settings, name, catalogue, {1})
    assert state_snapshot.read(settings, name, Shards(catalogue, 1)).shards.states[0].profiles.keys() == {2}
    assert list(in_files(settings, Mentions(1))) == []


def test_a_saved_state_loses_the_user_as_if_there_had_never_been_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    catalogue = Catalogue(ITEMS, {1: User(1), 2: User(2)})
    events = [Event(1, 1, 5, 100), Event(2, 1, 4, 50), Event(1, 2, 3, 60), Event(2, 3, 5, 70)]

    def saved(kept: list[Event]) -> Beginning:
        shards = Shards(catalogue, 1)
        for event in kept:
            shards.states[0].step(event)
        return Beginning(shards, Shards(catalogue, 1), {0: 7}, [{"reason": 2}])

    name = write_snapshot(settings, saved(events))
    assert state_snapshot.rewrite_without(settings, name, catalogue, {1, 9})
    assert not state_snapshot.rewrite_without(settings, name, catalogue, {1})
    found = state_snapshot.read(settings, name, Shards(catalogue, 1))
    expected = saved([event for event in events if event.userid != 1]).shards.states[0]
    assert (found.shards.states[0].profiles, found.shards.states[0].counters) == (expected.profiles, expected.counters)
    assert (found.next_offsets, found.dead) == ({0: 7}, [{"reason": 2}])
    assert list(in_files(settings, Mentions(1))) == []


def test_a_saved_state_remembers_of_whom_it_knows_nothing_any_more(tmp_path: Path) -> None:
    settings, catalogue = settings_in(tmp_path), Catalogue(ITEMS, {1: User(1, 1, 2, 3), 2: User(2, 0, 1, 4)})
    shards = Shards(catalogue, 1)
    shards.states[0].step(Event(1, 1, 5, 100))
    shards.states[0].erase(1)
    shards.states[0].step(Event(1, 2, 5, 200))  # who came back
    name = write_snapshot(settings, Beginning(shards, Shards(catalogue, 1), {0: 7}, [{}]))
    (state,) = state_snapshot.read(settings, name, Shards(catalogue, 1)).shards.states
    assert (state.erased, state.user(1), state.user(2)) == ({1}, User(1), catalogue.users[2])
    assert state_snapshot.rewrite_without(settings, name, Catalogue(ITEMS, {1: catalogue.users[1]}), {2})
    (state,) = state_snapshot.read(settings, name, Shards(catalogue, 1)).shards.states
    assert (state.erased, state.profiles.keys()) == ({1, 2}, {1})
    assert list(in_files(settings, Mentions(2))) == []


def test_a_saved_state_of_the_first_version_knows_all_users_of_the_catalogue(tmp_path: Path) -> None:
    settings, catalogue = settings_in(tmp_path), Catalogue(ITEMS, {1: User(1, 1, 2, 3)})
    now, folder = state_snapshot._begin(settings)
    file = saved_shard.write(folder, 0, {"users": {}, "counters": {}, "dead": {}}, 7)  # type: ignore[typeddict-item]
    name = state_snapshot._complete(folder, now, "hash", LogIdentity("cluster", "topic"), [file])
    fields = json.loads((folder / state_snapshot.MANIFEST).read_text())
    (folder / state_snapshot.MANIFEST).write_text(json.dumps(fields | {"schema_version": 1}))
    (state,) = state_snapshot.read(settings, name, Shards(catalogue, 1)).shards.states
    assert state.user(1) == catalogue.users[1]


@pytest.mark.parametrize(
    ("topic", "given_up", "base", "left"),
    [("topic", (), None, {1, 3}), ("other", (), None, {3}), ("topic", (3,), None, {1}), ("topic", (3,), "own", {1, 3})],
)
def test_what_a_saved_state_holds_of_a_user_who_was_erased_before_stays(
    tmp_path: Path, topic: str, given_up: tuple[int, ...], base: str | None, left: set[int]
) -> None:
    settings, catalogue = settings_in(tmp_path), Catalogue(ITEMS, {})
    shards = Shards(catalogue, 1)
    for userid in USERS:
        shards.states[0].step(Event(userid, 1, 5, 100))
    name = write_snapshot(settings, Beginning(shards, Shards(catalogue, 1), {0: 7}, [{}]))
    dues = {0: Due({1: 6, 2: 7})}
    assert rewrite_snapshots(settings, catalogue, topic, dues, given_up, name if base else None) == 1
    (state,) = state_snapshot.read(settings, name, Shards(catalogue, 1)).shards.states
    assert state.profiles.keys() == left
