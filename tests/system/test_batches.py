"""Batches of requests, and `context`, on the running system."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.commands import succeed
from tests.polling import until
from tests.system.conftest import System

BASE = 660_000
"""Users from here on are no other test's."""


@pytest.fixture
def user(system: System) -> Iterator[int]:
    """A user with five films, whom nobody else sends events of."""
    userid = BASE + int(time.time() * 1000) % 100_000
    items = system.catalogue_items()
    for number, itemid in enumerate(items[:5]):
        position = system.rate(userid, itemid, 5 - number % 2, ts=1_000_000 + number)
    system.rec(userid=userid, after=position)
    system.wait_for_items()
    yield userid


def items_of(answer: dict[str, Any]) -> list[int]:
    return [item["itemid"] for item in answer["item_list"]]


def without_offset(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without how far the partition is, which events of others move."""
    return {name: value for name, value in answer.items() if name != "as_of"}


def test_each_answer_of_a_batch_is_that_of_a_single_request_in_order(system: System, user: int) -> None:
    items = system.catalogue_items()
    wanted: list[dict[str, Any]] = [
        {"userid": user, "size": 5, "explain": True},
        {"userid": 999_998, "size": 3},
        {"history": [{"itemid": items[0]}, {"itemid": items[9], "rating": 1}], "size": 4},
        {"userid": user, "size": 6, "filter": {"genres": {"any": ["Drama", "Comedy"]}}, "exclude": items[10:20]},
        {"userid": user, "size": 5, "context": [{"itemid": items[30], "rating": 5}]},
    ]
    answer = system.post("/ml/rec/batch", wanted)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()) == len(wanted)
    for request, found in zip(wanted, answer.json(), strict=True):
        assert without_offset(found) == without_offset(system.rec(**request))


def test_a_hundred_requests_are_answered_at_once_and_one_more_is_refused(system: System, user: int) -> None:
    answers = system.post("/ml/rec/batch", [{"userid": user, "size": 2}] * 100).json()
    assert len(answers) == 100
    assert len({tuple(items_of(answer)) for answer in answers}) == 1
    refused = system.post("/ml/rec/batch", [{"userid": user}] * 101)
    assert refused.status_code == 400
    assert refused.json()["error"] == "the list must have 1 to 100 requests, and has 101"


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"userid": 1, "size": 0}, "1.size: input should be greater than or equal to 1"),
        ({"userid": 1, "history": []}, "1: give either userid or history"),
        ({"userid": 1, "size": 10_000}, "1.size: input should be less than or equal to 200"),
        ({"history": [{"itemid": 99_999}]}, "1.history.0.itemid: 99999 is not in the catalogue"),
        ({"userid": 1, "filter": {"genres": {"any": ["Dramma"]}}}, "1.filter: genres has no value 'Dramma'"),
        ({"userid": 1, "context": [{"itemid": 1, "event": "rating", "value": 9}]}, "1.context.0: value must be"),
        ({"userid": 1, "after": {"partition": 0, "offset": 0}}, "1.after.partition: events of user 1 are in"),
    ],
)
def test_one_bad_request_refuses_all_and_is_named_by_its_place(system: System, bad: object, sentence: str) -> None:
    answer = system.post("/ml/rec/batch", [{"userid": 1}, bad, {"userid": 2}])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


def test_requests_of_a_batch_read_their_own_writes(system: System) -> None:
    userids = [BASE + 200_000 + number for number in range(8)]
    positions = [system.rate(userid, system.catalogue_items()[1], 5) for userid in userids]
    wanted = [{"userid": userid, "after": after} for userid, after in zip(userids, positions, strict=True)]
    answers: list[dict] = []

    def complete() -> bool:
        # On a busy machine the stream may take longer than a request waits, which the answer then says.
        answers[:] = system.post("/ml/rec/batch", wanted).json()
        return all(answer["degraded"] == [] for answer in answers)

    until(complete)
    for answer, after in zip(answers, positions, strict=True):
        assert answer["fallback"] is None
        assert answer["as_of"]["offset"] >= after["offset"]


def test_a_context_gives_the_list_that_the_same_events_give_once_they_are_sent(system: System, user: int) -> None:
    items = system.catalogue_items()
    context = [
        {"itemid": items[40], "rating": 5},
        {"itemid": items[41], "rating": 1},
        {"itemid": items[0], "rating": 1},
    ]
    before = system.rec(userid=user, size=30)
    laid = system.rec(userid=user, size=30, context=context)
    assert items_of(laid) != items_of(before)
    assert not {items[40], items[41]} & {*items_of(laid)}
    assert laid["fallback"] is None and laid["degraded"] == []
    assert items_of(system.rec(userid=user, size=30)) == items_of(before), "nothing of the context is stored"
    assert system.get(f"/users/{user}").json()["n"] == 5
    last = max(event["ts"] for event in system.get(f"/users/{user}").json()["recent"])
    for number, entry in enumerate(context, 1):
        position = system.rate(user, entry["itemid"], entry["rating"], ts=last + number)
    # Item counters have moved by then, which the ranker reads; the profile is the same.
    sent = system.rec(userid=user, size=30, after=position)
    assert len({*items_of(sent)} & {*items_of(laid)}) >= 25
    assert system.get(f"/users/{user}").json()["n"] == 7


def test_an_unknown_user_with_a_context_gets_a_list_of_it(system: System) -> None:
    items = system.catalogue_items()
    context = [{"itemid": itemid} for itemid in items[20:23]]
    laid = system.rec(userid=999_997, size=10, context=context)
    session = system.rec(history=context, size=10)
    assert laid["fallback"] is None
    assert items_of(laid) == items_of(session)
    assert system.get("/users/999997").status_code == 404


def test_the_command_takes_a_context(system: System, user: int) -> None:
    itemid = system.catalogue_items()[50]
    listed = succeed("rec", str(user), "--size", "20", "--context", str(itemid))
    assert items_of(listed) == items_of(system.rec(userid=user, size=20, context=[{"itemid": itemid}]))
