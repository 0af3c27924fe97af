"""Changes of items and users that are written straight into the log: each takes effect where each shard meets it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from features import Event, Id, ItemChange, Profile
from features.waiting import TOO_MANY
from stores import view_shard
from stores.feast.feature_store import Features
from stores.redis.shard_catalogue import read_layer, read_layers, waiting_items
from tests.polling import until
from tests.processes import kill
from tests.system.conftest import System
from tests.system.item_changes import LATE, send
from tests.system.tampering import found

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.usefixtures("in_order")]

NEW, USERS = count(810_000), count(710_000)
"""Ids that nobody has yet."""

WAR, COMEDY = {"title": "Of war", "year": 1991, "genres": ["War"]}, {"title": "A joke", "genres": ["Comedy"]}


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_that_is_wrong(system: System, in_order: None) -> Iterator[None]:
    """Check after the last change that the state is what the log says, and that the oracle says the same."""
    yield
    system.wait_for_drift()
    system.wait_for_items()
    result = found(system, sample=200)
    assert result.differing == {} and result.sampled > 0


def change(system: System, itemid: Id, version: int, words: dict[str, Any]) -> ItemChange:
    return system.schema.events.item_change(itemid, version, words)


def withdrawal(system: System, itemid: Id, version: int) -> ItemChange:
    return system.schema.events.withdrawal(itemid, version)


def profile(system: System, userid: Id) -> Profile:
    stored = system.profiles.profile(userid)[0]
    assert stored is not None
    return stored


def genre(system: System, profile: Profile, name: str) -> int:
    """Events of a user that count for a genre."""
    place, term = next((place, term) for place, term in enumerate(system.schema.terms) if term.name == "genres")
    return profile.tallies[2 * place][term.codes[name]]


def listed(system: System, year: int) -> list[Id]:
    """The items of a year that a list has."""
    answer = system.rec(userid=system.events[0].userid, size=5, filter={"year": {"min": year, "max": year}})
    return [item["itemid"] for item in answer["item_list"]]


def test_a_new_item_is_known_in_every_shard_and_can_be_listed(system: System) -> None:
    itemid = next(NEW)
    send(system, change(system, itemid, 1, WAR | {"year": 1891}))
    system.wait()
    for shard in range(system.profiles.partitions):
        assert read_layer(system.profiles, shard)[itemid].title == "Of war"
    until(lambda: listed(system, 1891) == [itemid], 30)
    features = Features(system.settings, system.schema, system.profiles.generation)
    assert features.items([itemid])[itemid]["n"] == 0
    userid = next(USERS)
    system.send_events([Event(userid, itemid, 5, LATE)])
    system.wait_for_items()
    assert features.items([itemid])[itemid]["n"] == 1
    assert system.get(f"/items/{itemid}").json()["n"] == 1


def test_an_event_counts_under_the_attributes_that_its_item_had(system: System) -> None:
    itemid, userid = next(NEW), next(USERS)
    send(system, change(system, itemid, 1, WAR))
    system.send_events([Event(userid, itemid, 5, LATE)])
    send(system, change(system, itemid, 2, COMEDY))
    system.wait()
    assert genre(system, profile(system, userid), "War") == 1
    assert genre(system, profile(system, userid), "Comedy") == 0
    system.send_events([Event(userid, itemid, 4, LATE + 1)])
    system.wait()
    assert genre(system, profile(system, userid), "War") == 0
    assert genre(system, profile(system, userid), "Comedy") == 1


def test_a_withdrawn_item_leaves_the_lists_and_keeps_its_facts(system: System) -> None:
    itemid, userid = next(NEW), next(USERS)
    send(system, change(system, itemid, 1, WAR | {"year": 1892}))
    until(lambda: listed(system, 1892) == [itemid], 30)
    system.send_events([Event(userid, itemid, 5, LATE)])
    send(system, withdrawal(system, itemid, 2))
    system.wait()
    assert listed(system, 1892) == []
    system.send_events([Event(next(USERS), itemid, 5, LATE)])
    system.wait_for_items()
    assert profile(system, userid).n == 1
    assert sum(view_shard(system.profiles, shard).counters[itemid].n for shard in shards_with(system, itemid)) == 2
    assert listed(system, 1892) == []
    send(system, change(system, itemid, 3, WAR | {"year": 1892}))
    until(lambda: listed(system, 1892) == [itemid], 30)


def shards_with(system: System, itemid: Id) -> list[int]:
    partitions = range(system.profiles.partitions)
    return [shard for shard in partitions if itemid in view_shard(system.profiles, shard).counters]


def test_an_event_before_its_item_waits_and_is_no_dead_letter(system: System) -> None:
    itemid, userid, other = next(NEW), next(USERS), next(USERS)
    dead = system.profiles.dead()
    system.send_events([Event(userid, itemid, 5, LATE), Event(other, itemid, 2, LATE)])
    system.wait()
    assert itemid in waiting_items(system.profiles) and system.profiles.dead() == dead
    assert system.profiles.profile(userid)[0] is None
    assert system.verify().differing == {}
    send(system, change(system, itemid, 1, WAR))
    system.wait()
    assert itemid not in waiting_items(system.profiles)
    assert (profile(system, userid).n, profile(system, other).likes) == (1, 0)
    assert genre(system, profile(system, userid), "War") == 1
    features = Features(system.settings, system.schema, system.profiles.generation)
    assert {userid, other} == features.users([userid, other]).keys()


def test_shards_that_meet_changes_in_any_order_end_with_the_same_items(system: System) -> None:
    rng, itemid = random.Random(7), next(NEW)
    changes = [change(system, itemid, version, {"title": f"Version {version}"}) for version in range(1, 6)]
    changes.append(change(system, itemid, 5, {"title": "Another version 5"}))
    for shard in range(system.settings.kafka.partitions):
        rng.shuffle(changes)
        system.send([(*system.schema.events.encode(each), shard) for each in changes])
    system.wait()
    layers = [read_layer(system.profiles, shard) for shard in range(system.profiles.partitions)]
    assert len({layer[itemid].title for layer in layers}) == 1
    assert {layer.version(itemid) for layer in layers} == {5}
    assert read_layers(system.profiles, {})[itemid] == layers[0][itemid]


def test_a_user_who_changes_has_the_attributes_in_the_state_and_in_the_row(system: System) -> None:
    userid, words = next(USERS), system.schema.events
    send(system, words.user_change(userid, {"gender": "F", "age": "25"}))
    system.send_events([Event(userid, system.catalogue_items()[0], 5, LATE)])
    system.wait()
    features = Features(system.settings, system.schema, system.profiles.generation)
    before = features.users([userid])[userid]
    send(system, words.user_change(userid, {"gender": "M"}))
    system.wait()
    after = features.users([userid])[userid]
    assert before["gender"] != after["gender"] and after["age"] == -1
    assert system.profiles.attributes([userid])[userid].codes[0] == after["gender"]


@pytest.mark.parametrize("killed", [False, True], ids=["calm", "killed"])
def test_nothing_is_lost_of_changes_and_events_whatever_becomes_of_the_worker(system: System, killed: bool) -> None:
    rng = random.Random(11 + killed)
    items = [*system.catalogue_items()[:10], *(next(NEW) for _ in range(10))]
    users = [next(USERS) for _ in range(30)]
    versions = dict.fromkeys(items, 0)
    for step in range(60):
        changes = []
        for itemid in rng.sample(items, 4):
            versions[itemid] += rng.randrange(-1, 3)
            number = max(1, versions[itemid])
            words = {"title": f"{itemid} at {step}", "genres": rng.sample(["War", "Comedy", "Drama"], 2)}
            gone = rng.random() < 0.2
            changes.append(withdrawal(system, itemid, number) if gone else change(system, itemid, number, words))
        send(system, *changes)
        system.send_events(
            [
                Event(rng.choice(users), rng.choice(items), rng.randrange(1, 6), LATE + rng.randrange(40))
                for _ in range(20)
            ]
        )
        if killed and step in {15, 35}:
            kill(system.settings, "worker-0")
    system.wait(120)
    system.wait_for_drift(120)
    system.wait_for_items()
    assert system.verify().differing == {}


def test_an_erased_user_has_nothing_that_waits(system: System) -> None:
    itemid, userid = next(NEW), next(USERS)
    system.send_events([Event(userid, itemid, 5, LATE)])
    system.wait()
    shard = system.partition(userid)
    assert itemid in view_shard(system.profiles, shard).waiting
    answer = system.get(f"/users/{userid}")
    assert answer.status_code == 404
    system.send([(str(userid).encode(), b'{"schema_version":2,"userid":%d,"erase":true}' % userid, shard)])
    system.wait()
    assert itemid not in view_shard(system.profiles, shard).waiting
    send(system, change(system, itemid, 1, WAR))
    system.wait()
    assert system.profiles.profile(userid)[0] is None
    assert TOO_MANY not in system.profiles.dead()
