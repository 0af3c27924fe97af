"""`reelstream verify` is right while events arrive: nothing differs that is right, and what is wrong is found."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from compat.feast_rows import row_key
from features import Event, ItemCounter
from stores.feast.feature_store import Features
from stores.redis.packing import pack_counter
from stores.redis.unpublished_items import UnpublishedItems
from tests.movielens import SCHEMA
from tests.polling import until
from tests.system.conftest import System

FIRST_USER = 720_000


@contextmanager
def steady_events(system: System, per_s: int = 200) -> Iterator[None]:
    """Events that do not end: new users, and users who change their minds again and again."""
    items = system.catalogue_items()
    stopping = threading.Event()

    def send() -> None:
        sent = 0
        while not stopping.wait(0.1):
            places = range(sent, sent + per_s // 10)
            system.send_events(
                [Event(FIRST_USER + n % 300, items[n % len(items)], 1 + n % 5, 1000 + n) for n in places]
            )
            system.send([(b"1", b"not JSON", sent % 8)])
            sent += len(places)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        time.sleep(1.0)
        yield
    finally:
        stopping.set()
        sender.join()


def test_nothing_differs_while_events_arrive(system: System) -> None:
    system.wait()
    with steady_events(system):
        before = len(system.log())
        first = system.verify()
        # A good event and a bad one more, however soon the first look was over.
        until(lambda: len(system.log()) >= first.events + first.dead + 50)
        second = system.verify()
    assert first.differing == second.differing == {}
    assert second.events > first.events > 0
    assert second.dead > first.dead
    assert len(system.log()) > before


def test_what_is_wrong_is_found_while_events_arrive(system: System) -> None:
    system.wait()
    client, features = system.profiles.client, Features(system.settings, SCHEMA)
    profile_of, filter_of, row_of = sorted({event.userid for event in system.events})[:3]
    profile = f"{tag(system, profile_of)}:profile:{profile_of}"
    seen = f"{tag(system, filter_of)}:seen:{filter_of}"
    counters, dead = f"{system.profiles.tag(2)}:items", f"{system.profiles.tag(3)}:dead"
    row = row_key(system.settings.feast.project, "userid", row_of)
    kept = {key: client.dump(key) for key in (profile, seen, row)}
    with steady_events(system):
        client.set(profile, client.get(f"{tag(system, filter_of)}:profile:{filter_of}"))
        client.hdel(seen, client.hkeys(seen)[0])
        client.hincrby(dead, "made up", 1)
        held = features.users([row_of])[row_of]
        features.write_users([(row_of, held | {"last_ts": held["last_ts"] + 1})])
        found = system.verify()
    for key, value in kept.items():
        client.restore(key, 0, value, replace=True)
    client.hdel(dead, "made up")
    assert {name for name in found.differing if not name.startswith("sample: ")} == {
        f"profile and seen filter of user {profile_of}",
        f"profile and seen filter of user {filter_of}",
        f"feature row of user {row_of}",
        "dead letters of shard 3",
    }
    # Else the item's row may be made from the wrong counter, and nothing would mend it.
    system.wait()
    until(lambda: not UnpublishedItems(system.profiles).count())
    itemid, counter = next(iter(client.hgetall(counters).items()))
    client.hset(counters, itemid, pack_counter(ItemCounter(n=10**6)))
    assert f"item {int(itemid)} in shard 2" in system.verify().differing
    client.hset(counters, itemid, counter)
    assert system.verify().differing == {}


def tag(system: System, userid: int) -> str:
    return system.profiles.tag(system.partition(userid))
