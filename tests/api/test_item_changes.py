"""Changes of items and users on their way to the log, and in lists once a shard has applied them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
import requests

from features import Id, ItemChange, Layer
from stores import Profiles, StateStores, connect, partition_of
from stores.redis.generations import FIRST
from stores.redis.shard_catalogue import write_items
from tests.api.conftest import ITEMS, USER, ShopApi, segment
from tests.polling import until
from tests.shop import SCHEMA

LAMP = {"title": "Lamp", "categories": ["garden"], "brand": "brand 3", "price": 7.5, "text": "Shines."}


def put(api: ShopApi, path: str, body: object) -> requests.Response:
    return requests.put(api.address + path, json=body, timeout=30)


def delete(api: ShopApi, path: str) -> requests.Response:
    return requests.delete(api.address + path, timeout=30)


def at_positions(api: ShopApi, answer: Any) -> list[Any]:
    """The records at the positions of an answer, which must be those of all partitions."""
    positions = [(each["partition"], each["offset"]) for each in answer["positions"]]
    assert [partition for partition, _ in positions] == list(range(api.settings.kafka.partitions))
    logged = {(record.partition, record.offset): record for record in api.log()}
    return [SCHEMA.events.decode(logged[place].key, logged[place].value) for place in positions]


@pytest.mark.parametrize("itemid", ["lamp", "a/b %2F", "ü 7"])
def test_an_item_is_appended_to_every_partition(shop_api: ShopApi, itemid: str) -> None:
    answer = put(shop_api, f"/items/{segment(itemid)}", {**LAMP, "version": 7})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["itemid"], told["version"], told["withdrawn"], told["unknown_values"]) == (itemid, 7, False, {})
    expected = SCHEMA.events.item_change(itemid, 7, LAMP)
    assert at_positions(shop_api, told) == [expected] * shop_api.settings.kafka.partitions


def test_a_change_that_is_repeated_with_its_version_is_the_same_record(shop_api: ShopApi) -> None:
    first = put(shop_api, "/items/twice", LAMP).json()
    again = put(shop_api, "/items/twice", {**LAMP, "version": first["version"]}).json()
    assert again["version"] == first["version"] and again["positions"] != first["positions"]
    assert at_positions(shop_api, first) == at_positions(shop_api, again)
    assert put(shop_api, "/items/twice", LAMP).json()["version"] > first["version"]


def test_a_withdrawal_is_appended_to_every_partition(shop_api: ShopApi) -> None:
    told = delete(shop_api, "/items/lamp?version=9").json()
    assert (told["itemid"], told["version"], told["withdrawn"]) == ("lamp", 9, True)
    assert set(at_positions(shop_api, told)) == {SCHEMA.events.withdrawal("lamp", 9)}
    later = delete(shop_api, "/items/nobody%20knows")
    assert later.status_code == 202 and later.json()["version"] > 1_700_000_000_000_000


def test_values_that_the_shop_does_not_have_are_named(shop_api: ShopApi) -> None:
    told = put(shop_api, "/items/pet", {"categories": ["garden", "pets"], "brand": "new brand"}).json()
    assert told["unknown_values"] == {"categories": ["pets"], "brand": ["new brand"]}


def test_the_attributes_of_a_user_are_appended_to_the_partition_of_the_user(shop_api: ShopApi) -> None:
    answer = put(shop_api, f"/users/{segment(USER)}", {"segment": "regular"})
    assert answer.status_code == 202
    told = answer.json()
    assert set(told) == {"userid", "partition", "offset", "unknown_values"}
    assert told["partition"] == partition_of(USER, shop_api.settings.kafka.partitions)
    (record,) = [
        each for each in shop_api.log() if (each.partition, each.offset) == (told["partition"], told["offset"])
    ]
    assert json.loads(record.value or b"") == {"schema_version": 3, "userid": USER, "user": {"segment": "regular"}}


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("put", "/items/i1", {"colour": "red"}, "colour: extra inputs are not permitted"),
        ("put", "/items/i1", {"price": "cheap"}, "price: input should be a valid number"),
        ("put", "/items/i1", [], "the body must be a JSON object"),
        ("put", "/items/i1", {"categories": ["a"] * 20_000}, "the body may have at most 10000 values"),
        ("put", f"/items/{'x' * 129}", {}, "itemid: must be a text of 1 to 128 characters"),
        ("delete", "/items/i1?version=0", None, "version: must be a whole number from 1"),
        ("put", "/users/u", {"age": 7}, "age: extra inputs are not permitted"),
        ("put", f"/users/{'x' * 129}", {}, "userid: must be a text of 1 to 128 characters"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused_and_not_logged(
    shop_api: ShopApi, method: str, path: str, body: object, sentence: str
) -> None:
    before = len(shop_api.log())
    answer = requests.request(method, shop_api.address + path, json=body, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
    assert len(shop_api.log()) == before


def profiles_of(api: ShopApi) -> Profiles:
    return StateStores.of(api.settings, FIRST, connect(api.settings.redis)).profiles


def apply(api: ShopApi, changes: Iterable[ItemChange], *, shards: Iterable[int], tell: bool) -> None:
    """Apply changes as the worker of some shards does, and tell the API as the publisher does."""
    state = StateStores.of(api.settings, FIRST, connect(api.settings.redis))
    layer = Layer(ITEMS)
    for change in changes:
        layer.apply(change)
    for shard in shards:
        tag = state.profiles.tag(shard)
        write = state.profiles.client.pipeline(transaction=True)
        write_items(write, tag, layer.changed)
        write.incrby(f"{tag}:changes", len(layer.changed))
        write.execute()
    if tell:
        state.published.tell_items(list(layer.changed))


def listed(api: ShopApi, **body: Any) -> set[Id]:
    return {item["itemid"] for item in api.rec(size=60, **body)["item_list"]}


def test_a_new_item_is_in_lists_and_found_by_its_id_once_the_api_is_told(shop_api: ShopApi) -> None:
    shards = range(shop_api.settings.kafka.partitions)
    assert shop_api.get("/items/fresh").status_code == 404
    apply(shop_api, [SCHEMA.events.item_change("fresh", 5, LAMP)], shards=shards, tell=True)
    until(lambda: shop_api.get("/items/fresh").status_code == 200, 5)
    item = shop_api.get("/items/fresh").json()
    assert (item["title"], item["categories"], item["price"]) == ("Lamp", ["garden"], 7.5)
    assert (item["version"], item["withdrawn"], item["n"]) == (5, False, 0)
    assert "version" not in shop_api.get("/items/n1").json()
    only = {"filter": {"price": {"min": 7.4, "max": 7.6}}}
    assert "fresh" in listed(shop_api, userid=USER, **only)
    assert "fresh" in listed(shop_api, history=[{"itemid": "n1", "event": "view"}], **only)
    assert "fresh" not in listed(shop_api, history=[{"itemid": "fresh"}])
    assert "fresh" in listed(shop_api, userid="nobody", **only)


def test_an_item_that_is_withdrawn_in_the_shard_of_a_user_is_in_no_list_of_the_user_at_once(
    shop_api: ShopApi,
) -> None:
    shards, own = range(shop_api.settings.kafka.partitions), profiles_of(shop_api).shard_of(USER)
    assert "n20" in listed(shop_api, userid=USER)
    withdrawal = SCHEMA.events.withdrawal("n20", 5)
    apply(shop_api, [withdrawal], shards=[own], tell=False)
    assert "n20" not in listed(shop_api, userid=USER)
    history = [{"itemid": "n1", "event": "view"}]
    assert "n20" in listed(shop_api, history=history)
    apply(shop_api, [withdrawal], shards=[shard for shard in shards if shard != own], tell=True)
    until(lambda: shop_api.get("/items/n20").json().get("withdrawn"), 5)
    assert "n20" not in listed(shop_api, history=history)
    assert "n20" not in listed(shop_api, userid="nobody")
    # Its facts stay, in sessions too.
    assert shop_api.rec(history=[{"itemid": "n20", "event": "view"}])["fallback"] is None


def test_an_item_that_is_put_back_is_in_lists_again(shop_api: ShopApi) -> None:
    shards = range(shop_api.settings.kafka.partitions)
    apply(shop_api, [SCHEMA.events.withdrawal("n21", 5)], shards=shards, tell=True)
    until(lambda: shop_api.get("/items/n21").json().get("withdrawn"), 5)
    assert "n21" not in listed(shop_api, userid=USER)
    apply(shop_api, [SCHEMA.events.item_change("n21", 6, LAMP)], shards=shards, tell=True)
    until(lambda: shop_api.get("/items/n21").json()["version"] == 6, 5)
    assert "n21" in listed(shop_api, userid=USER)
    assert shop_api.get("/items/n21").json()["title"] == "Lamp"


def test_the_last_events_on_the_page_name_an_item_that_is_not_known_by_its_id(shop_api: ShopApi) -> None:
    assert shop_api.post("/events", {"userid": "w", "itemid": "unheard of", "event": "view", "ts": 7}).ok

    def seen() -> list[Any]:
        events = shop_api.get("/pages/data/recent").json()["events"]
        return [event for event in events if event["itemid"] == "unheard of"]

    assert until(seen, 15)[0]["title"] == "unheard of"
