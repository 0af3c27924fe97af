"""Errors are JSON with one sentence that names the field and the rule."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import servers
from tests.polling import until
from tests.system.conftest import System

REFUSED = [
    ({}, "give either userid or history"),
    ({"userid": 1, "history": []}, "give either userid or history"),
    ({"userid": "1"}, "userid: input should be a valid integer"),
    ({"userid": True}, "userid: input should be a valid integer"),
    ({"userid": 0}, "userid: input should be greater than or equal to 1"),
    ({"userid": 10**30}, "userid: "),
    ({"userid": 1, "size": 0}, "size: input should be greater than or equal to 1"),
    ({"userid": 1, "size": 100_000}, "size: input should be less than or equal to 200"),
    ({"userid": 1, "size": 2.5}, "size: input should be a valid integer"),
    ({"userid": 1, "exclude": "3"}, "exclude: input should be a valid list"),
    ({"userid": 1, "exclude": [0]}, "exclude.0: input should be greater than or equal to 1"),
    ({"userid": 1, "exclude": [1] * 1001}, "exclude: at most 1000 entries"),
    ({"userid": 1, "exclude": [1] * 80_000}, "the body may have at most 5016 values; exclude and history have limits"),
    ({"userid": 1, "exclude": ["x"] * 4000}, "exclude: at most 1000 entries"),
    (
        {"userid": 1, "history": [{"itemid": 1, "x" * 1000: 1}]},
        f"history.0.{'x' * 100}: extra inputs are not permitted",
    ),
    ({"userid": 1, "y" * 200_000: 1}, f"{'y' * 100}: extra inputs are not permitted"),
    (
        {"userid": 1, "after": {"partition": 7, "offset": 0, "ts": -1}},
        "after.ts: input should be greater than or equal",
    ),
    ({"userid": 1, "after": {"partition": 7, "offset": 0, "run": 1}}, "after.run: extra inputs are not permitted"),
    ({"userid": 1, "colour": "red"}, "colour: extra inputs are not permitted"),
    ({"userid": 1, "explain": "yes"}, "explain: input should be a valid boolean"),
    ({"userid": 1, "after": {"partition": 0}}, "after.offset: field required"),
    ({"userid": 1, "after": {"partition": 0, "offset": 0}}, "after.partition: events of user 1 are in partition 7"),
    ({"history": [], "after": {"partition": 0, "offset": 0}}, "after: needs userid"),
    ({"history": [{"itemid": 99_999}]}, "history.0.itemid: 99999 is not in the catalogue"),
    ({"history": [{"itemid": 1, "rating": 7}]}, "history.0.rating: input should be less than or equal to 5"),
    ({"userid": 1, "context": [{"itemid": 99_999}]}, "context.0.itemid: 99999 is not in the catalogue"),
    (
        {"userid": 1, "context": [{"itemid": 1, "rating": 7}]},
        "context.0.rating: input should be less than or equal to 5",
    ),
    ({"userid": 1, "context": [{"itemid": 1}] * 900, "exclude": [1] * 1001}, "exclude: at most 1000 entries"),
    ({"history": [], "context": [{"itemid": 1}]}, "context: needs userid"),
    ([1], "the body must be a JSON object"),
]


@pytest.mark.parametrize(("body", "sentence"), REFUSED)
def test_a_request_that_breaks_a_rule_is_refused_with_the_rule(system: System, body: object, sentence: str) -> None:
    answer = system.post("/ml/rec", body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"].startswith(sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"userid": 1, "itemid": 1, "rating": 6}, "rating: input should be less than or equal to 5"),
        ({"userid": 1, "itemid": 1}, "rating: field required"),
        ({"userid": 1, "itemid": 0, "rating": 5}, "itemid: input should be greater than or equal to 1"),
        ({"userid": 1, "itemid": 1, "rating": 5, "ts": -1}, "ts: input should be greater than or equal to 0"),
    ],
)
def test_a_rating_that_breaks_a_rule_is_refused_and_not_logged(system: System, body: object, sentence: str) -> None:
    before = len(system.log())
    answer = system.post("/ratings", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
    assert len(system.log()) == before


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", b"[" * 50_000])
def test_a_body_that_is_not_a_json_object_is_refused(system: System, data: bytes) -> None:
    answer = requests.post(f"{system.api}/ml/rec", data=data, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"] == "the body must be a JSON object"


def test_a_body_that_is_too_large_is_refused(system: System) -> None:
    answer = requests.post(f"{system.api}/ml/rec", data=b" " * 300_000, timeout=30)
    assert answer.status_code == 413
    assert "error" in answer.json()


def test_unknown_addresses_and_methods_are_json_errors(system: System) -> None:
    assert system.get("/nowhere").status_code == 404
    assert "error" in system.get("/nowhere").json()
    assert system.get("/ml/rec").status_code == 405
    assert "error" in system.get("/ml/rec").json()
    for userid in ("abc", "-1", "0", "9" * 40, "1.5"):
        answer = system.get(f"/users/{userid}")
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("userid: must be a whole number")


def test_a_rating_that_is_larger_than_any_good_one_is_refused(system: System) -> None:
    answer = requests.post(f"{system.api}/ratings", data=b" " * 5000, timeout=30)
    assert answer.status_code == 413


@pytest.mark.parametrize("offset", [10**9, 10**15, 2**63 - 1, 10**30])
def test_a_position_that_the_log_has_not_assigned_takes_no_wait_and_no_thread(system: System, offset: int) -> None:
    """With more such requests at once than places, all of them and one of another kind are answered."""
    userid = system.events[0].userid
    never = {"userid": userid, "after": {"partition": system.partition(userid), "offset": offset}}
    system.rec(**never)
    with ThreadPoolExecutor(10) as threads:
        at_once = [threads.submit(system.post, "/ml/rec", never) for _ in range(10)]
        assert system.get("/health/live").status_code == 200
        assert system.rec(userid=userid)["degraded"] == []
        answers = [each.result() for each in at_once]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["degraded"] == ["stream"]
        assert answer.json()["item_list"]


def test_requests_that_wait_for_a_stopped_stream_leave_room_for_others(system: System) -> None:
    userid = system.events[0].userid
    servers.stop(system.settings, ["worker-0"])
    try:
        position = system.rate(userid, system.catalogue_items()[0], 3)
        with ThreadPoolExecutor(16) as threads:
            waiting = [threads.submit(system.rec, userid=userid, after=position) for _ in range(16)]
            for _ in range(10):
                assert system.rec(userid=userid)["degraded"] == []
            assert not all(each.done() for each in waiting)
            assert {tuple(each.result()["degraded"]) for each in waiting} == {("stream",)}
    finally:
        servers.start(system.settings, ["worker-0"])
    until(lambda: not system.rec(userid=userid, after=position)["degraded"], 60)
    system.wait()


def test_the_metrics_count_requests(system: System) -> None:
    system.rec(userid=system.events[0].userid)
    text = system.get("/metrics").text
    assert 'reelstream_requests_total{route="/ml/rec",status="200"}' in text


def test_the_command_tells_errors_in_one_line(system: System) -> None:
    command = [sys.executable, "-m", "cli", "rec", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["error: userid must be a whole number from 1 to 2147483647"]


def test_publishing_again_keeps_the_live_state(system: System) -> None:
    from cli.models import publish_run

    system.wait()
    applied = system.profiles.applied()
    report = publish_run(system.settings, None, lambda what, share: None)
    assert not report.wrote_snapshot
    assert system.profiles.applied() == applied
    assert system.verify().differences == 0
