"""A state of another version, as an upgrade that changes the counts finds it: served from until it is rebuilt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

import servers
from bench import Load
from features.state_fields import DECLARED_FIELDS
from features.version import STATE_LAYOUT
from stores.redis.published import FIELDS, STATE
from tests.polling import until
from tests.system.conftest import System

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def anew(system: System) -> Iterator[None]:
    """The first generation of an empty log, before and afterwards."""
    system.start_over()
    system.wait_until_ready()
    yield
    system.start_over()


def test_an_upgrade_that_changes_the_counts_fails_no_request_and_loses_no_rating(system: System) -> None:
    event = system.events[0]
    system.send_events(system.events[:200])
    system.wait()
    seen = set(system.profiles.profile(event.userid)[1])
    before = system.profiles.applied()
    servers.stop(system.settings, ["workers"])
    system.client.set(STATE, "00000000")
    servers.start(system.settings, ["workers"])
    load = Load(system.settings, sorted({event.userid for event in system.events}), 20)
    load.start()
    try:
        until(lambda: "00000000" in str(system.get("/health/ready").json().get("waits_for")))
        worker = f"http://127.0.0.1:{system.settings.stream.metrics_port}/health"
        until(lambda: "run `reelstream rebuild`" in str(requests.get(worker, timeout=10).json()["waits_for"]), 60)

        rated = system.rec(userid=event.userid, size=1)["item_list"][0]["itemid"]
        accepted = system.rate(event.userid, rated, 5)
        after = {name: accepted[name] for name in ("partition", "offset")}
        answer = system.rec(userid=event.userid, size=100, after=after)
        assert (answer["degraded"], answer["fallback"]) == (["stream"], None)
        assert answer["as_of"]["offset"] == before[accepted["partition"]] < accepted["offset"]
        assert not seen & {item["itemid"] for item in answer["item_list"]}

        other = DECLARED_FIELDS.model_copy(update={"layout": STATE_LAYOUT + 1})
        system.client.set(FIELDS, other.model_dump_json())
        until(lambda: system.rec(userid=event.userid)["fallback"] == "profile_unavailable")
        popular = system.rec(userid=event.userid, size=100)
        assert popular["item_list"] and not seen & {item["itemid"] for item in popular["item_list"]}
        assert system.get(f"/users/{event.userid}").status_code == 503

        done = subprocess.run(
            [sys.executable, "-m", "cli", "rebuild"], check=False, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert system.rec(userid=event.userid, after=after)["degraded"] == []
        assert "waits_for" not in system.get("/health/ready").json()
    finally:
        answers = load.stop()
    assert {answer.status for answer in answers} == {200} and len(answers) > 20
    assert rated in system.profiles.profile(event.userid)[1]
    verified = system.verify()
    assert verified.differences == 0, verified.differing
