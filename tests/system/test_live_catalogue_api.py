"""A catalogue that changes while it serves: new items are listed, withdrawn ones are gone, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import requests

import servers
from features import Id
from tests.polling import until
from tests.system.conftest import System

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("in_order")]

SOON_S = 20.0
"""Longest wait for a new item on a busy machine; `reelstream bench changes` measures how long it takes."""

NEW = count(800_000)
"""Ids that no catalogue has."""

YEARS = count(2100)
"""Years that no other item has, so that a list can be asked for a single one."""


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_that_is_wrong(system: System, in_order: None) -> Iterator[None]:
    """Check after the last change that the state is what the log says."""
    yield
    system.wait_for_items()
    assert system.verify().differing == {}


def put(system: System, itemid: Id, **body: Any) -> requests.Response:
    return requests.put(f"{system.api}/items/{itemid}", json=body, timeout=30)


def accepted(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def new_item(system: System) -> tuple[Id, int]:
    """A new item, and the year that it alone has."""
    itemid, year = next(NEW), next(YEARS)
    accepted(put(system, itemid, title=f"Film of {year}", year=year, genres=["War"]))
    return itemid, year


def withdraw(system: System, itemid: Id) -> dict[str, Any]:
    return accepted(requests.delete(f"{system.api}/items/{itemid}", timeout=30))


def after(system: System, change: dict[str, Any], userid: Id) -> dict[str, int]:
    """The position of a change in the partition of a user."""
    partition = system.partition(userid)
    (offset,) = [each["offset"] for each in change["positions"] if each["partition"] == partition]
    return {"partition": partition, "offset": offset}


def listed(system: System, **body: Any) -> list[Id]:
    """The ids of a list that nothing was missing for; a busy machine may take longer than a request waits."""

    def whole() -> Any:
        answer = system.rec(**body)
        return None if answer["degraded"] else answer

    return [item["itemid"] for item in until(whole, SOON_S)["item_list"]]


def of_year(year: int) -> dict[str, Any]:
    return {"filter": {"year": {"min": year, "max": year}}}


def users(system: System, most: int = 20) -> list[Id]:
    return sorted({event.userid for event in system.events})[:most]


def test_a_new_item_is_recommended_to_users_and_sessions(system: System) -> None:
    itemid, year = new_item(system)
    userid, history = users(system)[0], [{"itemid": system.catalogue_items()[0]}]
    until(lambda: itemid in listed(system, userid=userid, **of_year(year)), SOON_S)
    assert listed(system, history=history, **of_year(year)) == [itemid]
    (item,) = system.rec(userid=userid, **of_year(year))["item_list"]
    assert (item["title"], item["year"], item["genres"]) == (f"Film of {year}", year, ["War"])


def test_a_changed_item_is_found_by_its_new_attributes_and_no_longer_by_the_former(system: System) -> None:
    itemid, year = new_item(system)
    userid, other = users(system)[0], next(YEARS)
    until(lambda: itemid in listed(system, userid=userid, **of_year(year)), SOON_S)
    accepted(put(system, itemid, title="Changed", year=other, genres=["Drama"]))
    until(lambda: listed(system, userid=userid, **of_year(other)) == [itemid], SOON_S)
    until(lambda: listed(system, userid=userid, **of_year(year)) == [], SOON_S)


def test_a_withdrawn_item_is_in_no_list_after_its_position_and_its_facts_stay(system: System) -> None:
    everybody, year = users(system), next(YEARS)
    itemid = listed(system, userid=everybody[0])[0]
    before = system.get(f"/items/{itemid}").json()
    change = withdraw(system, itemid)
    for userid in everybody:
        assert itemid not in listed(system, userid=userid, size=200, after=change["positions"])
    until(lambda: system.get(f"/items/{itemid}").json().get("withdrawn"), SOON_S)
    assert {**before, "version": change["version"], "withdrawn": True} == system.get(f"/items/{itemid}").json()
    only = {"filter": {"year": {"min": before["year"], "max": before["year"]}}}
    assert itemid not in listed(system, history=[{"itemid": itemid}], **only)
    assert itemid not in listed(system, userid=799_999, size=200)
    accepted(put(system, itemid, title="Back", year=year, genres=["Drama"]))
    until(lambda: listed(system, userid=everybody[0], **of_year(year)) == [itemid], SOON_S)


def test_of_two_changes_the_one_with_the_higher_version_counts_whenever_it_arrives(system: System) -> None:
    itemid, first, second = next(NEW), next(YEARS), next(YEARS)
    accepted(put(system, itemid, version=2, title="Second", year=second, genres=["War"]))
    accepted(put(system, itemid, version=1, title="First", year=first, genres=["War"]))
    userid = users(system)[0]
    until(lambda: listed(system, userid=userid, **of_year(second)) == [itemid], SOON_S)
    system.wait_for_items()
    assert listed(system, userid=userid, **of_year(first)) == []
    item = system.get(f"/items/{itemid}").json()
    assert (item["title"], item["version"], item["withdrawn"]) == ("Second", 2, False)


def test_an_event_of_an_item_that_nobody_knows_counts_once_the_item_arrives(system: System) -> None:
    userid, itemid = 780_000, next(NEW)
    position = system.rate(userid, itemid, 5)
    assert system.rec(userid=userid, after=position)["fallback"] == "unknown_user"
    assert system.get(f"/users/{userid}").status_code == 404
    change = accepted(put(system, itemid, title="Awaited", year=next(YEARS), genres=["War", "Drama"]))
    answer = system.rec(userid=userid, size=200, after=after(system, change, userid))
    assert (answer["degraded"], answer["fallback"]) == ([], None)
    assert itemid not in [item["itemid"] for item in answer["item_list"]]
    state = system.get(f"/users/{userid}").json()
    assert (state["n"], state["likes"], state["genres"]["War"]) == (1, 1, {"n": 1, "likes": 1})
    assert state["recent"][0]["itemid"] == itemid
    until(lambda: system.get(f"/items/{itemid}").json().get("n") == 1, SOON_S)


def test_the_attributes_of_a_user_are_replaced(system: System) -> None:
    userid = users(system)[1]
    answer = requests.put(f"{system.api}/users/{userid}", json={"gender": "F", "age": "56"}, timeout=30)
    told = accepted(answer)
    assert told["partition"] == system.partition(userid) and told["unknown_values"] == {}
    position = {name: told[name] for name in ("partition", "offset")}
    assert system.rec(userid=userid, after=position)["degraded"] == []
    exported = system.get(f"/users/{userid}/export").json()
    assert exported["attributes"] == {"gender": 0, "age": 6, "occupation": -1}
    assert any('"schema_version":3' in (record["value"] or "") for record in exported["records"])


def test_a_change_while_kafka_is_away_is_refused_and_can_be_sent_again_with_its_version(system: System) -> None:
    itemid, year = next(NEW), next(YEARS)
    body = {"title": "Late", "year": year, "genres": ["War"]}
    servers.stop(system.settings, ["kafka"])
    try:
        answer = put(system, itemid, **body)
    finally:
        servers.up(system.settings)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    sentence, _, version = answer.json()["error"].rpartition(" send it again with version ")
    assert sentence.startswith("Kafka did not acknowledge the change in every partition")

    def again() -> requests.Response | None:
        repeated = put(system, itemid, version=int(version), **body)
        return repeated if repeated.status_code == 202 else None

    assert until(again, 60).json()["version"] == int(version)
    assert accepted(put(system, itemid, version=int(version), **body))
    userid = users(system)[0]
    until(lambda: listed(system, userid=userid, **of_year(year)) == [itemid], 60, not_yet=(AssertionError,))
    system.wait_for_items()
    assert system.get(f"/items/{itemid}").json()["version"] == int(version)
