"""The erasure of a user through the API, folded by the running worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from cli.models import publish_run
from features import Event
from features.counters import ItemCounter
from lifecycle.forgotten import search
from lifecycle.rebuild import rebuild
from offline.state.lock import lock
from settings import Settings
from stores import LockTaken
from stores.archive.whole_log import WholeLog
from stores.feast.feature_store import Features
from stores.redis.unpublished_items import UnpublishedItems
from tests.movielens import SCHEMA
from tests.polling import until
from tests.system.conftest import System

USER, OTHER = 700_001, 700_002
WEEK = 7 * 86_400


def counters(system: System) -> list[dict[int, ItemCounter]]:
    return [system.profiles.shard_counters(shard) for shard in range(system.profiles.partitions)]


def events_of(system: System, userid: int) -> list[Event]:
    """Ratings of several items, of which some are earlier and some later than all others."""
    latest = max(event.ts for event in system.events)
    times = (latest + 40 * WEEK, latest - 1, latest + 30 * WEEK, 1, latest + 40 * WEEK)
    items = system.catalogue_items()
    return [
        Event(userid, itemid, 1 + place % 5, ts) for place, (itemid, ts) in enumerate(zip(items, times, strict=False))
    ]


def erase(system: System, userid: int) -> dict:
    answer = requests.delete(f"{system.api}/users/{userid}", timeout=30)
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_a_user_who_is_erased_is_unknown_at_once_and_counts_for_nothing(system: System) -> None:
    system.wait()
    before, rows = counters(system), system.catalogue_items()[:5]
    until(lambda: not UnpublishedItems(system.profiles).count())
    features = Features(system.settings, SCHEMA, system.profiles.generation)
    rows_before = features.items(rows)
    system.send_events(events_of(system, USER))
    system.wait()
    assert counters(system) != before
    assert system.get(f"/users/{USER}").json()["n"] == 5
    position = erase(system, USER)
    assert position["partition"] == system.partition(USER)
    answer = system.rec(userid=USER, after=position)
    assert answer["fallback"] and answer["degraded"] == []
    assert answer["as_of"] is None or answer["as_of"]["ts"] == 0
    assert system.get(f"/users/{USER}").status_code == 404
    assert system.profiles.profile(USER)[:2] == (None, {})
    assert features.users([USER]) == {}
    assert counters(system) == before
    until(lambda: not UnpublishedItems(system.profiles).count())
    assert features.items(rows) == rows_before
    assert system.verify().differing == {}


def test_new_events_of_an_erased_user_start_from_nothing(system: System) -> None:
    first, second, third = system.catalogue_items()[:3]
    system.rate(OTHER, first, 5, ts=1_000)
    system.rate(OTHER, second, 5, ts=2_000)
    erase(system, OTHER)
    system.rate(OTHER, third, 4, ts=500)
    system.wait()
    known = system.get(f"/users/{OTHER}").json()
    assert (known["n"], known["first_ts"], known["seen"]) == (1, 500, 1)
    erase(system, OTHER)
    system.wait()
    assert system.verify().differing == {}


def test_an_export_has_all_that_is_stored_of_a_user(system: System) -> None:
    userid = system.events[2].userid
    system.wait()
    profile, seen = system.profiles.read_users([userid])[userid]
    told = system.get(f"/users/{userid}/export").json()
    assert told["profile"]["n"] == profile.n
    assert {each["itemid"]: ((each["ts"], each["rating"]),) for each in told["ratings"]} == seen
    assert told["features"] == Features(system.settings, SCHEMA, system.profiles.generation).users([userid])[userid]
    assert [record["offset"] for record in told["records"]] == [
        record.offset for record in system.log() if record.key == str(userid).encode()
    ]
    user = system.profiles.attributes([userid])[userid]
    names = [attribute.name for attribute in SCHEMA.user_attributes]
    assert told["attributes"] == dict(zip(names, user.codes, strict=True))


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/users/0"), ("GET", "/users/x/export")])
def test_a_user_who_cannot_be_is_refused(system: System, method: str, path: str) -> None:
    answer = requests.request(method, system.api + path, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"].startswith("userid: must be")


def test_nothing_is_exported_of_a_user_of_whom_nothing_is_stored(system: System) -> None:
    assert system.get("/users/799999999/export").status_code == 404


def test_the_search_finds_a_user_in_every_store_until_the_erasure(system: System) -> None:
    wanted = 700_003
    assert search(system.settings, wanted, lambda what, share: None) == []
    system.send_events(events_of(system, wanted))
    system.send([(b"700003", b"no event of user 700003", system.partition(wanted))])
    system.wait()
    shard = system.profiles.tag(system.partition(wanted))
    before = {(hit.store, hit.place) for hit in search(system.settings, wanted, lambda what, share: None)}
    assert {
        ("Redis", f"{shard}:profile:{wanted}"),
        ("Redis", f"{shard}:seen:{wanted}"),
        ("Kafka", f"topic ratings, partition {system.partition(wanted)}: 6 records"),
        ("Kafka", "topic ratings.dead, partition 0: 1 record"),
    } <= before
    # The project of the feature store is named for the generation, which is another after a rebuild.
    for begins in ("topic ratings.features", "feature row reelstream"):
        assert any(place.startswith(begins) for _, place in before), begins
    erase(system, wanted)
    system.wait()
    after = search(system.settings, wanted, lambda what, share: None)
    assert "Redis" not in {hit.store for hit in after}


READERS: dict[str, Callable[[Settings, Callable[[str, float], None]], object]] = {
    "publish": lambda settings, progress: publish_run(settings, None, progress),
    "rebuild": lambda settings, progress: rebuild(settings, open_log=lambda: WholeLog(settings), progress=progress),
}


@pytest.mark.parametrize("name", READERS)
def test_no_user_is_left_out_of_the_ratings_after_they_are_read_for_the_stores(system: System, name: str) -> None:
    class Read(Exception):
        pass

    def stop_at_the_ratings(step: str, share: float) -> None:
        if step == "reading the data set":
            with pytest.raises(LockTaken), lock(system.settings, "erase", lambda *_: None):
                pass
            raise Read

    with pytest.raises(Read):
        READERS[name](system.settings, stop_at_the_ratings)
