"""A state of other counts, or a run of other features, as an upgrade finds it: served from until it is replaced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

import servers
from bench import Load
from features.state_fields import StateFields
from features.version import STATE_LAYOUT
from stores import LiveRun
from stores.redis.published import FIELDS, STATE
from stores.redis.published_runs import RUN
from tests.movielens import SCHEMA
from tests.polling import until
from tests.system.conftest import System
from tests.system.second_api import second_api

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
    load = Load(system.settings, sorted({event.userid for event in system.events}), 5)
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

        other = StateFields.declared(SCHEMA).model_copy(update={"layout": STATE_LAYOUT + 1})
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
    assert {answer.status for answer in answers} == {200} and len(answers) > 10
    assert rated in system.profiles.profile(event.userid)[1]
    verified = system.verify()
    assert verified.differences == 0, verified.differing


def test_a_new_api_process_answers_with_a_run_of_other_features_in_the_order_of_recall(system: System) -> None:
    client, userid = system.client, system.events[0].userid
    before = client.get(RUN)
    assert before is not None
    run = LiveRun.model_validate_json(before)
    client.set(RUN, run.model_copy(update={"dense": [*run.dense[1:], "of_another_release"]}).model_dump_json())
    try:
        with second_api(system) as (port, _):
            address = f"http://127.0.0.1:{port}"
            answer = requests.post(f"{address}/ml/rec", json={"userid": userid, "explain": True}, timeout=10).json()
            ready = requests.get(f"{address}/health/ready", timeout=10).json()
    finally:
        client.set(RUN, before)
    assert (answer["degraded"], answer["fallback"]) == (["triton"], None)
    scores = [item["score"] for item in answer["item_list"]]
    assert len(scores) > 10 and scores == sorted(scores, reverse=True) and max(scores) <= 0
    assert all("next" not in item["explain"] for item in answer["item_list"])
    assert {"vector", "terms"} <= {source for item in answer["item_list"] for source in item["explain"]["sources"]}
    assert ready["status"] == "ok" and " has of_another_release" in ready["waits_for"]
