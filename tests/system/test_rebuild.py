"""A rebuild next to the live state: under load, switched back, and after a loss of Redis."""

from __future__ import annotations

import time

import pytest
import requests

from features import Event
from producers import dead_events
from stores import StateStores
from stores.feast.online_rows import OnlineRows
from tests.commands import figures, in_own_process, refuse, succeed
from tests.polling import until
from tests.system.conftest import System
from tests.system.traffic import EVENTS_PER_S, REQUESTS_PER_S, Traffic, require_all_count, require_lists

pytestmark = [pytest.mark.usefixtures("own_state"), pytest.mark.long, pytest.mark.timeout(600)]


def test_a_rebuild_under_load_fails_no_request_loses_no_event_and_switches_once(system: System) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > 2 * EVENTS_PER_S)
        done = figures(in_own_process("rebuild", "--json"))
        time.sleep(2.0)
        answers = running.stop()
    assert running.failure is None
    require_lists(answers)
    assert len(answers) > 3 * REQUESTS_PER_S
    assert running.clicks > 10 and running.failed_clicks == []
    print(f"{done}, {running.clicks} clicks of which {running.late} were answered before they were folded")
    assert running.generations == ["", done["generation"]]
    assert done["previous"] == "" and done["events"] > EVENTS_PER_S
    require_all_count(system, running.sent)
    letters = [(letter.partition, letter.offset) for letter in dead_events(system.settings.kafka)]
    assert len(letters) == len(set(letters)) == running.malformed > 0
    assert sum(system.profiles.dead().values()) == running.malformed


def test_the_feast_server_follows_the_switch(system: System) -> None:
    succeed("rebuild")
    userid = system.events[0].userid
    item = system.rec(userid=userid, size=1)["item_list"][0]["itemid"]
    system.rate(userid, item, 5)
    system.wait()
    count = system.profiles.profile(userid)[0].n
    address = f"http://127.0.0.1:{system.settings.feast.port}/get-online-features"
    body = {"features": ["user:n"], "entities": {"userid": [userid]}}

    def served() -> int:
        return requests.post(address, json=body, timeout=10).json()["results"][-1]["values"][0]

    until(lambda: served() == count, message=lambda: f"{served()}, not {count}")


@pytest.mark.thorough
def test_the_state_from_before_catches_up_when_it_is_switched_back_to_and_is_gone_once_dropped(system: System) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > EVENTS_PER_S)
        first = figures(in_own_process("rebuild", "--json"))
        switched_at = len(running.sent)
        until(lambda: len(running.sent) > switched_at + EVENTS_PER_S)
        back = figures(in_own_process("rebuild", "--back", "--json"))
        assert back["generation"] == "" and back["previous"] == first["generation"] and back["events"] > 0
        forth = figures(in_own_process("rebuild", "--back", "--json"))
        assert forth["generation"] == first["generation"] and forth["previous"] == ""
        answers = running.stop()
    assert running.failure is None
    require_lists(answers)
    assert running.failed_clicks == []
    assert running.generations == ["", first["generation"], "", first["generation"]]
    require_all_count(system, running.sent)
    assert succeed("rebuild", "--drop") == {"dropped": [""]}
    old = StateStores.of(system.settings, "").profiles
    assert list(system.client.scan_iter(match=old.pattern)) == [] and old.applied() == [None] * old.partitions
    assert not OnlineRows(system.client, system.settings.feast.project).ids().users
    assert "no previous state" in refuse("rebuild", "--back")
    require_all_count(system, running.sent)


def test_a_lost_state_is_rebuilt_with_every_acknowledged_event(system: System) -> None:
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > 4 * EVENTS_PER_S)
        running.stop()
    system.wait()
    time.sleep(2.0)  # what is acknowledged is committed every second
    system.lose("redis")
    userid = system.events[0].userid
    late = Event(userid, system.catalogue_items()[-1], 5, running.sent[-1].ts + 1)
    assert system.rate(late.userid, late.itemid, late.code, late.ts)
    done = succeed("rebuild")
    assert done["previous"] is None and done["events"] >= len(running.sent)
    system.wait(60)
    succeed("publish")
    system.wait_until_ready()
    require_all_count(system, [*running.sent, late])
    assert system.rec(userid=userid)["degraded"] == []
    letters = [(letter.partition, letter.offset) for letter in dead_events(system.settings.kafka)]
    assert len(letters) == len(set(letters)) == running.malformed > 0
