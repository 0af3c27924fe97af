"""The API of a shop: ids that are texts, events of several types, lists without Elasticsearch and Triton."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from features import Erasure
from tests.api.conftest import EVENTS, ITEMS, MARKUP, USER, ShopApi, segment
from tests.shop import SCHEMA


def test_events_are_answered_with_their_positions_in_order_and_are_in_the_log_as_they_were_sent(
    shop_api: ShopApi,
) -> None:
    before = len(shop_api.log())
    sent = [
        {"userid": user, "itemid": item, "event": event, "ts": 1000 + number}
        for number, (user, item, event) in enumerate(
            [(USER, "i/1", "view"), ("v", "ï 2%", "cart"), (USER, MARKUP, "purchase"), ("w", "n1", "view")]
        )
    ]
    answer = shop_api.post("/events", sent)
    assert answer.status_code == 202
    positions = answer.json()
    assert [position["ts"] for position in positions] == [1000, 1001, 1002, 1003]
    logged = {(record.partition, record.offset): json.loads(record.value or b"") for record in shop_api.log()}
    assert len(logged) == before + len(sent)
    assert [logged[position["partition"], position["offset"]] for position in positions] == sent
    assert positions[0]["partition"] == positions[2]["partition"]
    assert positions[0]["offset"] < positions[2]["offset"]


def test_one_event_is_answered_with_one_position_that_a_list_can_wait_for(shop_api: ShopApi) -> None:
    answer = shop_api.post("/events", {"userid": USER, "itemid": "n2", "event": "view"})
    assert answer.status_code == 202
    assert set(answer.json()) == {"partition", "offset", "ts"}
    # No worker folds it, so that the list is made without it.
    assert "stream" in shop_api.rec(userid=USER, size=3, after=answer.json())["degraded"]


GOOD = {"userid": "u", "itemid": "n1", "event": "view"}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([GOOD, GOOD | {"event": "rent"}], "1.event: input should be "),
        ([GOOD, GOOD | {"itemid": "x\n"}], "1.itemid: must be a text of 1 to 128 characters"),
        ([GOOD, GOOD, GOOD | {"ts": 4_000_000_000}], "2.ts: must be at most 86400 s later than now"),
        ([GOOD] * 1001, "the list must have 1 to 1000 events, and has 1001"),
        ([GOOD] * 3000, "the body may have at most 6016 values; send at most 1000 events"),
        ([], "the list must have 1 to 1000 events, and has 0"),
        (GOOD | {"itemid": "x\n"}, "itemid: must be a text of 1 to 128 characters"),
        (GOOD | {"ts": 4_000_000_000}, "ts: must be at most 86400 s later than now"),
        ("view", "the body must be a JSON object or a list of them"),
    ],
)
def test_where_one_event_is_refused_none_is_sent(shop_api: ShopApi, body: Any, sentence: str) -> None:
    before = len(shop_api.log())
    answer = shop_api.post("/events", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
    assert len(shop_api.log()) == before


def test_a_thousand_events_are_sent_at_once(shop_api: ShopApi) -> None:
    before = len(shop_api.log())
    answer = shop_api.post("/events", [{**GOOD, "userid": f"u{number}", "ts": 7} for number in range(1000)])
    assert answer.status_code == 202
    assert len({(each["partition"], each["offset"]) for each in answer.json()}) == 1000
    assert len(shop_api.log()) == before + 1000
    assert 'reelstream_events_appended_total{type="view"}' in shop_api.get("/metrics").text


@pytest.mark.parametrize("listed", [False, True])
def test_an_event_of_an_item_that_nobody_knows_is_appended_as_any_other(shop_api: ShopApi, listed: bool) -> None:
    sent = GOOD | {"itemid": "not yet", "ts": 5}
    answer = shop_api.post("/events", [GOOD, sent] if listed else sent)
    assert answer.status_code == 202
    position = answer.json()[1] if listed else answer.json()
    (record,) = [
        record
        for record in shop_api.log()
        if (record.partition, record.offset) == (position["partition"], position["offset"])
    ]
    assert json.loads(record.value or b"") == sent


def test_a_data_set_without_ratings_says_where_events_go(shop_api: ShopApi) -> None:
    answer = shop_api.post("/ratings", {"userid": "u", "itemid": "n1", "rating": 5})
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "this data set has no events of the type rating; send POST /events"},
    )


@pytest.mark.parametrize("itemid", ITEMS)
def test_an_item_is_found_by_any_id(shop_api: ShopApi, itemid: str) -> None:
    answer = shop_api.get(f"/items/{segment(itemid)}")
    assert answer.status_code == 200
    item = ITEMS[itemid]
    assert answer.json()["itemid"] == itemid
    assert answer.json()["title"] == (item.title or itemid)
    assert {name: answer.json()[name] for name in ("n", "likes", "recent_likes", "last_ts")} == {
        **{"n": 0, "likes": 0},
        **{"recent_likes": 0, "last_ts": 0},
    }


def test_an_item_has_its_attributes_and_one_that_is_not_there_is_named(shop_api: ShopApi) -> None:
    item = shop_api.get(f"/items/{segment('i/1')}").json()
    assert (item["categories"], item["brand"], item["price"], item["text"]) == (["garden"], "brand 1", 12.5, "Digs.")
    missing = shop_api.get("/items/i/1")
    assert missing.status_code == 404
    answer = shop_api.get("/items/no%2Fne")
    assert (answer.status_code, answer.json()) == (404, {"error": "itemid: no/ne is not in the catalogue"})
    refused = shop_api.get(f"/items/{'x' * 129}")
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("itemid: must be a text of 1 to 128 characters")


def test_the_state_of_a_user_is_in_the_terms_of_the_shop(shop_api: ShopApi) -> None:
    answer = shop_api.get(f"/users/{segment(USER)}")
    assert answer.status_code == 200
    state = answer.json()
    assert (state["userid"], state["n"], state["likes"], state["seen"]) == (USER, 4, 2, 3)
    assert state["categories"]["garden"] == {"n": 3, "likes": 1}
    assert set(state["terms"]) == {"categories", "brand", "price"}
    assert state["recent"][0] == {"itemid": "ï 2%", "title": "ï 2%", "event": "view", "ts": 400}
    assert shop_api.get("/users/nobody").status_code == 404


def test_all_that_is_stored_of_a_user_can_be_exported(shop_api: ShopApi) -> None:
    told = shop_api.get(f"/users/{segment(USER)}/export").json()
    assert told["attributes"] == {"segment": 1}
    known = [(event.itemid, event.ts, SCHEMA.codes.type(event.code)) for event in EVENTS]
    assert [(each["itemid"], each["ts"], each["event"]) for each in told["events"]] == sorted(known)
    assert tuple(told["profile"]) == SCHEMA.profile_fields


def test_a_list_without_elasticsearch_and_triton_leaves_out_what_was_purchased(shop_api: ShopApi) -> None:
    answer = shop_api.rec(userid=USER, size=50)
    assert set(answer["degraded"]) >= {"elasticsearch", "triton"}
    listed = {item["itemid"] for item in answer["item_list"]}
    assert "i/1" not in listed
    assert {"ï 2%", MARKUP} <= listed
    assert set(answer["item_list"][0]) == {"itemid", "score", "title", "categories", "brand", "price"}


def test_a_degraded_list_keeps_to_filter_diversity_and_exclude(shop_api: ShopApi) -> None:
    toys = shop_api.rec(userid=USER, size=10, filter={"categories": {"any": ["toys"]}, "price": {"min": 5, "max": 20}})
    assert len(toys["item_list"]) == 10
    for item in toys["item_list"]:
        assert "toys" in item["categories"] and 5 <= item["price"] <= 20
    both = shop_api.rec(userid=USER, filter={"categories": {"all": ["garden", "toys"]}})
    assert [item["itemid"] for item in both["item_list"]] == ["ï 2%"]
    few = shop_api.rec(userid=USER, size=50, diversity={"attribute": "brand", "most": 2}, exclude=[MARKUP])
    brands = [item["brand"] for item in few["item_list"]]
    assert brands and max(brands.count(brand) for brand in brands) <= 2
    assert MARKUP not in {item["itemid"] for item in few["item_list"]}


def test_a_session_is_of_events_of_the_shop(shop_api: ShopApi) -> None:
    history = [{"itemid": "i/1", "event": "view"}, {"itemid": "n1"}]
    answer = shop_api.rec(history=history, size=50)
    listed = {item["itemid"] for item in answer["item_list"]}
    assert "n1" not in listed and "i/1" in listed
    refused = shop_api.post("/ml/rec", {"history": [{"itemid": "none"}]})
    assert refused.json() == {"error": "history.0.itemid: none is not in the catalogue"}


def test_an_erasure_is_appended_for_any_id(shop_api: ShopApi) -> None:
    userid = "a/b %2F"
    answer = requests.delete(f"{shop_api.address}/users/{segment(userid)}", timeout=30)
    assert answer.status_code == 202
    position = answer.json()["partition"], answer.json()["offset"]
    (record,) = [record for record in shop_api.log() if (record.partition, record.offset) == position]
    assert SCHEMA.events.decode(record.key, record.value) == Erasure(userid)


def test_the_document_names_the_routes_that_there_are(shop_api: ShopApi) -> None:
    told = shop_api.get("/openapi.json").json()
    assert "/events" in told["paths"] and "/ratings" not in told["paths"]
