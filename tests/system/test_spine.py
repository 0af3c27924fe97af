"""A rating becomes a different recommendation."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import numpy as np

from features import dense
from features.columns import ItemTable
from offline import runs
from settings import RecallSettings
from stores import Published
from stores.elasticsearch import ItemIndex
from stores.feast.feature_store import Features
from tests.movielens import SCHEMA
from tests.polling import until
from tests.system.conftest import System


def test_a_rating_takes_the_item_off_the_list_and_changes_it(system: System) -> None:
    userid = system.events[0].userid
    before = system.rec(userid=userid, size=10)
    first = before["item_list"][0]["itemid"]
    position = system.rate(userid, first, 5)
    after = system.rec(userid=userid, size=10, after={key: position[key] for key in ("partition", "offset")})
    assert before["degraded"] == after["degraded"] == []
    assert first not in [item["itemid"] for item in after["item_list"]]
    assert after["as_of"]["partition"] == position["partition"]
    assert after["as_of"]["offset"] >= position["offset"]
    assert after["item_list"] != before["item_list"]


def test_the_answer_to_a_rating_is_accepted_as_it_is_as_the_position_to_wait_for(system: System) -> None:
    userid = system.events[1].userid
    position = system.rate(userid, system.catalogue_items()[2], 4)
    answer = system.rec(userid=userid, after=position)
    assert set(position) == {"partition", "offset", "ts"}
    assert answer["degraded"] == []
    assert answer["as_of"]["offset"] >= position["offset"]


def test_a_list_has_no_item_twice_and_none_that_the_user_rated(system: System) -> None:
    userid = system.events[5].userid
    answer = system.rec(userid=userid, size=50)
    itemids = [item["itemid"] for item in answer["item_list"]]
    seen = system.profiles.profile(userid)[1]
    assert len(set(itemids)) == len(itemids)
    assert not set(itemids) & set(seen)
    scores = [item["score"] for item in answer["item_list"]]
    assert scores == sorted(scores, reverse=True)
    assert {"itemid", "score", "title", "year", "genres"} == set(answer["item_list"][0])


def test_excluded_items_are_not_in_the_list(system: System) -> None:
    userid = system.events[9].userid
    first = [item["itemid"] for item in system.rec(userid=userid, size=5)["item_list"]]
    again = [item["itemid"] for item in system.rec(userid=userid, size=5, exclude=first)["item_list"]]
    assert len(again) == 5
    assert not set(first) & set(again)


def test_both_recall_sources_bring_candidates_and_the_explanation_names_them(system: System) -> None:
    answer = system.rec(userid=system.events[9].userid, size=40, explain=True)
    sources = [set(item["explain"]["sources"]) for item in answer["item_list"]]
    assert any("vector" in each for each in sources)
    assert any(each == {"terms"} for each in sources)
    for item in answer["item_list"]:
        assert 0.0 < item["explain"]["like"] < 1.0
        assert set(item["explain"]["features"]) == set(SCHEMA.dense_columns)


def test_the_ranker_sees_the_features_as_the_store_holds_them(system: System) -> None:
    system.wait_for_items()
    userid = system.events[9].userid
    store, table = Features(system.settings, SCHEMA), ItemTable(SCHEMA, Published(system.profiles.client).catalogue())
    answer = system.rec(userid=userid, size=3, explain=True)
    user = store.users([userid])[userid]
    for item in answer["item_list"]:
        row = store.items([item["itemid"]])[item["itemid"]]
        columns = table.at(table.column([item["itemid"]]), np.array([row["n"]]), np.array([row["likes"]]))
        expected = dense(SCHEMA, {name: np.array([value]) for name, value in user.items()}, columns)[0]
        assert item["explain"]["features"] == dict(zip(SCHEMA.dense_columns, expected.tolist(), strict=True))


def test_vector_recall_finds_the_nearest_of_all_items(system: System) -> None:
    live = Published(system.profiles.client).run()
    assert live is not None
    itemids, vectors = runs.item_vectors(runs.folder(system.settings, live.run))
    index = ItemIndex(system.settings.elasticsearch)
    limits = RecallSettings(vector_k=20, term_k=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = rng.normal(size=vectors.shape[1]).astype(np.float32)
        exclude = set(rng.choice(itemids, 40, replace=False).tolist())
        allowed = np.array([itemid not in exclude for itemid in itemids])
        scores = np.where(allowed, vectors @ wanted, -np.inf)
        nearest = [itemids[place] for place in np.argsort(-scores)[:20]]
        nothing: dict[str, dict[int, float]] = {"genres": {}, "decades": {}}
        found = index.recall(live.index, SCHEMA, wanted, nothing, exclude, limits)
        assert [candidate.itemid for candidate in found] == nearest


def test_a_session_without_a_stored_user_gets_a_list_of_its_own(system: System) -> None:
    items = system.catalogue_items()
    one = system.rec(history=[{"itemid": items[0]}, {"itemid": items[1], "rating": 2}], size=10)
    other = system.rec(history=[{"itemid": items[-1]}, {"itemid": items[-2]}], size=10)
    assert one["fallback"] is None
    assert one["as_of"] is None
    assert not {items[0], items[1]} & {item["itemid"] for item in one["item_list"]}
    assert [item["itemid"] for item in one["item_list"]] != [item["itemid"] for item in other["item_list"]]


def test_an_unknown_user_gets_what_is_popular_and_the_answer_says_so(system: System) -> None:
    answer = system.rec(userid=999_999, size=7)
    assert answer["fallback"] == "unknown_user"
    assert len(answer["item_list"]) == 7
    assert system.get("/users/999999").status_code == 404


def test_an_unknown_user_is_known_after_the_first_rating(system: System) -> None:
    position = system.rate(777_001, system.catalogue_items()[0], 5)
    answer = system.rec(userid=777_001, after={key: position[key] for key in ("partition", "offset")})
    assert answer["fallback"] is None
    assert system.get("/users/777001").json()["n"] == 1


def test_what_is_known_of_a_user_is_what_they_did(system: System) -> None:
    position = system.rate(777_002, system.catalogue_items()[3], 4, ts=1_000_000)
    system.rec(userid=777_002, after={key: position[key] for key in ("partition", "offset")})
    told = system.get("/users/777002").json()
    assert [(event["itemid"], event["rating"], event["ts"]) for event in told["recent"]] == [
        (system.catalogue_items()[3], 4, 1_000_000)
    ]
    assert told["as_of"]["offset"] >= position["offset"]
    assert told["terms"]["genres"]


def test_item_features_follow_the_stream_in_the_api_and_in_the_feature_server(system: System) -> None:
    itemid = system.catalogue_items()[7]
    address = f"http://127.0.0.1:{system.settings.feast.port}/get-online-features"
    system.wait_for_items()
    before = _online(address, itemid)
    for user in range(5):
        system.rate(888_000 + user, itemid, 5)
    until(lambda: _online(address, itemid)["n"] == before["n"] + 5)
    assert _online(address, itemid)["likes"] == before["likes"] + 5


def _online(address: str, itemid: int) -> dict:
    body = json.dumps({"feature_service": "ml_item", "entities": {"itemid": [itemid]}}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        told = json.load(answer)
    names = told["metadata"]["feature_names"]
    return {name: result["values"][0] for name, result in zip(names, told["results"], strict=True)}


def test_the_command_prints_a_list_and_the_answer_as_it_is(system: System) -> None:
    userid = str(system.events[0].userid)
    command = [sys.executable, "-m", "cli", "rec", userid, "--size", "3"]
    table = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    answer = json.loads(
        subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, timeout=60).stdout
    )
    assert len(answer["item_list"]) == 3
    assert answer["item_list"][0]["title"].split()[0] in table
