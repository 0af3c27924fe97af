"""Saved states with changed items and users, and with events that wait for their items."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import pytest

from features import Catalogue, Event, Id, Item, User
from features.state_fields import before_weights
from features.version import ROWS_OF_EVENTS, of_profiles
from lifecycle.forgotten.files import in_files
from lifecycle.forgotten.mentions import Mentions
from offline.data.history import State
from offline.state import saved_shard, state_snapshot
from offline.state.snapshot import Beginning, Shards
from offline.state.waiting_records import as_events, as_records
from settings import Settings
from stores.kafka.log_check import LogIdentity
from stores.redis.packing import pack_counter, pack_profile, unpack_profile
from tests.lifecycle.test_erased_from_saved_states import write_snapshot
from tests.lifecycle.test_erasure_files import settings_in
from tests.movielens import SCHEMA, item, user

USERS: dict[Id, User] = {1: user(1, 1, 2, 3), 2: user(2, 0, 1, 4)}
ITEMS: dict[Id, Item] = {1: item(1, "One", 1994, (0,)), 2: item(2, "Two", 1987, (1,))}
CATALOGUE = Catalogue(ITEMS, USERS, 3)
WORDS = SCHEMA.events


def folded(without: int | None = None) -> Shards:
    """One shard after changes and events, of which some wait; without those of a user."""
    shards = Shards(SCHEMA, CATALOGUE, 1)
    said = [
        Event(1, 1, 5, 100),
        WORDS.item_change(1, 5, {"title": "Changed", "year": 1991, "genres": ["War"]}),
        Event(2, 1, 4, 50),
        WORDS.withdrawal(2, 3),
        Event(1, 2, 3, 60),
        Event(1, 9, 3, 60),
        Event(2, 9, 4, 70),
        Event(2, 8, 4, 80),
        WORDS.user_change(1, {"gender": "F", "age": "25"}),
        WORDS.user_change(3, {"gender": "M"}),
    ]
    for offset, each in enumerate(said):
        if without is None or getattr(each, "userid", None) != without:
            shards.states[0].take(each, offset=offset)
    return shards


def written(settings: Settings, shards: Shards) -> str:
    return write_snapshot(settings, Beginning(shards, Shards(SCHEMA, CATALOGUE, 1), {0: 20}, [{}]))


def read(settings: Settings, name: str, catalogue: Catalogue = CATALOGUE) -> State:
    (state,) = state_snapshot.read(settings, name, Shards(SCHEMA, catalogue, 1)).shards.states
    return state


def held(state: State) -> tuple[object, ...]:
    """All that a state holds."""
    counted = state.profiles, state.seen, state.counters
    return *counted, state.layer, state.waiting, state.changed_users, [state.user(userid) for userid in (1, 2, 3)]


def test_a_saved_state_holds_changed_items_changed_users_and_what_waits(tmp_path: Path) -> None:
    settings, (state,) = settings_in(tmp_path), folded().states
    found = read(settings, written(settings, folded()))
    assert held(found) == held(state)
    assert (found.layer.version(1), found.layer.withdrawn, {*found.waiting}) == (5, {2}, {8, 9})
    # What waited counts once the item comes, after the state was read as before.
    for each in (found, state):
        each.take(WORDS.item_change(9, 1, {"genres": ["Drama"]}), offset=30)
    assert held(found) == held(state) and 9 in found.seen[2]


def test_a_saved_state_loses_what_waits_of_an_erased_user_and_what_the_user_was_changed_to(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    name = written(settings, folded())
    assert [*in_files(settings, Mentions(1))] != []
    left = Catalogue(ITEMS, {2: USERS[2]}, 3)
    assert state_snapshot.rewrite_without(settings, name, left, {1})
    assert not state_snapshot.rewrite_without(settings, name, left, {1})
    found, (expected,) = read(settings, name, left), folded(without=1).states
    assert (found.profiles, found.counters, found.waiting) == (expected.profiles, expected.counters, expected.waiting)
    assert found.layer == expected.layer
    assert (found.user(1), found.user(3)) == (user(1), expected.user(3))
    assert [*in_files(settings, Mentions(1))] == [] != [*in_files(settings, Mentions(2))]


def test_a_user_of_whom_only_an_event_waits_is_erased_from_a_saved_state_too(tmp_path: Path) -> None:
    settings, shards = settings_in(tmp_path), Shards(SCHEMA, CATALOGUE, 1)
    for offset, userid in enumerate((700, 2)):
        shards.states[0].take(Event(userid, 9, 5, 60), offset=offset)
    name = written(settings, shards)
    assert state_snapshot.rewrite_without(settings, name, CATALOGUE, {700})
    assert read(settings, name).waiting == {9: [(1, Event(2, 9, 5, 60))]}
    assert [*in_files(settings, Mentions(700))] == []


def test_a_saved_state_of_the_second_version_knows_whose_attributes_are_known(tmp_path: Path) -> None:
    settings, shards = settings_in(tmp_path), Shards(SCHEMA, CATALOGUE, 1)
    state = shards.states[0]
    state.take(Event(1, 1, 5, 100))
    state.erase(2)
    now, folder = state_snapshot._begin(settings)
    content = {
        "users": {userid: (pack_profile(each), state.seen[userid]) for userid, each in state.profiles.items()},
        "counters": {itemid: pack_counter(counter) for itemid, counter in state.counters.items()},
        "dead": {},
        "attributed": [1],
    }
    file = saved_shard.write(folder, 0, content, 7)  # type: ignore[arg-type]
    name = state_snapshot._complete(folder, now, SCHEMA, "hash", LogIdentity("cluster", "topic"), [file])
    manifest = folder / state_snapshot.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema_version": 2}))
    assert held(read(settings, name)) == held(state)
    # Written again, it is of this version.
    assert state_snapshot.rewrite_without(settings, name, Catalogue(ITEMS, {2: USERS[2]}, 3), {1})
    again = msgpack.unpackb(saved_shard.path_of(folder, 0).read_bytes(), strict_map_key=False)
    assert (json.loads(manifest.read_text())["schema_version"], again["attributes"]) == (3, {})


def in_rows(packed: bytes) -> list[Any]:
    """A profile as it was packed while it had a row for each of its events."""
    values = msgpack.unpackb(packed)
    values[len(SCHEMA.profile_fields) - 1] = unpack_profile(SCHEMA, packed).recent
    return values  # type: ignore[no-any-return]


def without_weights(packed: bytes) -> list[Any]:
    """A profile as it was packed before profiles had weights."""
    values = in_rows(packed)
    first = len(before_weights(SCHEMA)) - 1
    assert values[first] and SCHEMA.profile_fields[first] == "genre_weights"
    del values[first : first + len(SCHEMA.weight_fields)]
    return values


@pytest.mark.parametrize(
    ("as_before", "version"),
    [
        (without_weights, of_profiles(before_weights(SCHEMA), layout=ROWS_OF_EVENTS)),
        (in_rows, SCHEMA.profiles_version_before),
    ],
)
def test_profiles_that_an_earlier_release_saved_are_read_and_get_the_weights_that_they_lack(
    tmp_path: Path, as_before: Callable[[bytes], list[Any]], version: str
) -> None:
    settings, shards = settings_in(tmp_path), folded()
    (state,) = shards.states
    name = written(settings, shards)
    folder = settings.state / "snapshots" / name
    manifest, path = folder / state_snapshot.MANIFEST, saved_shard.path_of(folder, 0)
    saved = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    users = {userid: (msgpack.packb(as_before(profile)), seen) for userid, (profile, seen) in saved["users"].items()}
    path.write_bytes(msgpack.packb({**saved, "users": users}))
    fields = json.loads(manifest.read_text())
    fields["shards"][0]["sha256"] = sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(fields | {"profiles_version": version}))
    found = read(settings, name)
    assert held(found) == held(state) and found.profiles[2].weights[0]
    # A rating that came before the item was changed is taken back as it was counted.
    for each in (found, state):
        each.take(Event(1, 1, 1, 200), offset=30)
    assert held(found) == held(state)
    # Written again, it is of this version.
    assert state_snapshot.rewrite_without(settings, name, Catalogue(ITEMS, {2: USERS[2]}, 3), {1})
    assert json.loads(manifest.read_text())["profiles_version"] == SCHEMA.profiles_version
    assert read(settings, name, Catalogue(ITEMS, {2: USERS[2]}, 3)).profiles == {2: state.profiles[2]}


def test_events_that_wait_are_the_same_after_they_were_records() -> None:
    waiting = folded().states[0].waiting
    assert as_events(SCHEMA, as_records(SCHEMA, waiting)) == waiting
