"""The whole system on a generated shop: ids that are texts, views, carts and purchases, and no ratings."""

from __future__ import annotations

import json
import random
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
import requests

from cli.stream import held_out
from lifecycle.erasure import sweep
from lifecycle.forgotten import search
from offline.data import generate_shop
from tests.commands import refuse, succeed
from tests.processes import kill
from tests.system.conftest import PATIENT, System, serving
from tests.system.tampering import ROUNDS, Tampering, found, require_events, require_reported

USERS, ITEMS, EVENTS = 120, 150, 3600

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@dataclass
class Shop:
    """The running shop.

    Attributes:
        system: it.
        items: all products.
        erased: customers whom a test may erase.
    """

    system: System
    items: list[str]
    erased: Iterator[str]

    def happened(self, *events: dict) -> dict:
        """Send events, and give the position of the last one of a user, to wait for."""
        answer = self.system.post("/events", list(events))
        assert answer.status_code == 202, answer.text
        return answer.json()[-1]

    def user(self, userid: str) -> requests.Response:
        return self.system.get(f"/users/{quote(userid, safe='')}")

    def listed(self, **body: object) -> list[str]:
        """The ids of a list that nothing was missing for."""
        answer = self.system.rec(**body)
        assert answer["degraded"] == [], (self.system.settings.state / "logs" / "api.log").read_text()[-2000:]
        return [item["itemid"] for item in answer["item_list"]]

    def somebody(self) -> str:
        """A customer of the held-out events whom no test erases."""
        return self.system.events[-1].userid


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop, with its held-out events replayed."""
    folder = tmp_path_factory.mktemp("shop")
    data = folder / "data"
    generate_shop.make(data, users=USERS, items=ITEMS, events=EVENTS, seed=5)
    variables = {"REELSTREAM_DATA__DATASET": "shop", "REELSTREAM_DATA__FOLDER": str(data), **PATIENT}
    # With less training, two short sessions get the same list.
    variables["REELSTREAM_TRAIN__REFIT_EPOCHS"] = "4"
    with serving(folder, data, **variables) as system:
        assert succeed("replay", "--max")["sent"] == len(system.events)
        system.wait_for_drift()
        items = sorted(system.published.catalogue())
        kept = {system.events[-1].userid, system.events[0].userid}
        erased = sorted({event.userid for event in system.events} - kept)
        yield Shop(system, items, iter(erased))


def event(userid: str, itemid: str, name: str, ts: int) -> dict:
    return {"userid": userid, "itemid": itemid, "event": name, "ts": ts}


LATE = 1_750_000_000
"""After all events of the data set, and not in the future."""


def test_a_replay_of_every_type_of_event_leaves_no_difference_and_everything_is_compared(shop: Shop) -> None:
    system = shop.system
    require_events(system)
    assert {system.schema.codes.type(event.code) for event in system.events} == {"view", "cart", "purchase"}
    result = found(system, sample=500)
    assert result.differing == {}
    assert result.events >= len(held_out(system.settings)[0]) and result.dead >= 1
    assert result.items == result.documents == ITEMS
    assert result.drift_events > 0 and result.inputs > 0
    assert result.sampled >= ITEMS + USERS - 10


def test_a_view_leaves_an_item_in_the_lists_and_a_purchase_takes_it_off_them(shop: Shop) -> None:
    userid = "customer with a taste"
    shop.happened(*(event(userid, itemid, "view", LATE) for itemid in shop.items[:5]))
    position = shop.happened(event(userid, shop.items[1], "cart", LATE + 1))
    first, second = shop.listed(userid=userid, size=2, after=position)
    viewed = shop.happened(event(userid, first, "view", LATE + 2))
    assert first in shop.listed(userid=userid, size=ITEMS, after=viewed)
    bought = shop.happened(event(userid, second, "purchase", LATE + 3))
    after = shop.listed(userid=userid, size=ITEMS, after=bought)
    assert second not in after and first in after


def test_carts_replace_each_other_and_views_and_purchases_add_up(shop: Shop) -> None:
    userid, itemid = "counted", shop.items[7]
    address = f"/items/{quote(itemid, safe='')}"
    shop.system.wait_for_items()
    before = shop.system.get(address).json()
    sent = [(name, LATE + at) for at, name in enumerate(["view", "view", "cart", "cart", "purchase", "purchase"])]
    shop.happened(*(event(userid, itemid, name, ts) for name, ts in sent))
    again = shop.happened(event(userid, itemid, *sent[-1]))
    shop.listed(userid=userid, after=again)
    state = shop.user(userid).json()
    assert (state["n"], state["likes"], state["seen"]) == (5, 3, 1)
    assert [(each["event"], each["ts"]) for each in state["recent"]] == [sent[5], sent[4], sent[3], sent[1], sent[0]]
    shop.system.wait_for_items()
    item = shop.system.get(address).json()
    assert (item["n"] - before["n"], item["likes"] - before["likes"]) == (3, 2)


@pytest.mark.parametrize("userid", ["a/b %2F", "ü 7", "x:y{z}", "-", "7", "*"])
def test_a_customer_of_any_id_is_known_after_an_event_and_forgotten_after_an_erasure(shop: Shop, userid: str) -> None:
    position = shop.happened(event(userid, shop.items[3], "cart", LATE))
    assert len(shop.listed(userid=userid, size=5, after=position)) == 5
    assert shop.user(userid).json()["userid"] == userid
    export = shop.system.get(f"/users/{quote(userid, safe='')}/export").json()
    assert [each["event"] for each in export["events"]] == ["cart"]
    answer = requests.delete(f"{shop.system.api}/users/{quote(userid, safe='')}", timeout=30)
    assert answer.status_code == 202
    told = shop.system.rec(userid=userid, after=answer.json())
    assert told["fallback"] == "unknown_user" and told["degraded"] == []
    assert shop.user(userid).status_code == 404
    assert shop.system.verify().differing == {}


def test_a_list_keeps_to_a_filter_and_to_diversity_and_is_full(shop: Shop) -> None:
    catalogue = shop.system.published.catalogue()
    categories = shop.system.schema.terms[0]
    prices = sorted(item.values[2] for item in catalogue.values() if item.values[2] is not None)
    low, high = prices[len(prices) // 4], prices[3 * len(prices) // 4]
    wanted = {"categories": {"any": list(categories.values[:4])}, "price": {"min": low, "max": high}}
    userid = shop.somebody()
    answer = shop.system.rec(userid=userid, size=5, filter=wanted)
    assert len(answer["item_list"]) == 5
    for item in answer["item_list"]:
        assert low <= item["price"] <= high and {*item["categories"]} & {*categories.values[:4]}
    diverse = shop.system.rec(userid=userid, size=8, diversity={"attribute": "brand", "most": 1})["item_list"]
    brands = [item["brand"] for item in diverse if item["brand"]]
    assert len(diverse) == 8 and len(set(brands)) == len(brands)


def test_a_session_of_views_gets_a_list_of_its_own(shop: Shop) -> None:
    one, other = (
        [{"itemid": itemid, "event": "view"} for itemid in some] for some in (shop.items[:3], shop.items[-3:])
    )
    assert shop.listed(history=one, size=10) != shop.listed(history=other, size=10)
    assert len(shop.listed(history=one, size=10)) == 10


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"userid": 7, "itemid": "x", "event": "view"}, "userid: input should be a valid string"),
        ({"userid": "u", "itemid": "x\n", "event": "view"}, "itemid: must be a text of 1 to 128 characters"),
        ({"userid": "u", "itemid": "x", "event": "rent"}, "event: input should be 'view', 'cart' or 'purchase'"),
        ({"userid": "u\n", "itemid": "x", "event": "view"}, "userid: must be a text of 1 to 128 characters"),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused_with_the_rule(shop: Shop, body: dict, sentence: str) -> None:
    answer = shop.system.post("/events", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


def test_nothing_is_lost_or_counted_twice_when_the_worker_is_killed(shop: Shop) -> None:
    system, rng = shop.system, random.Random(3)
    users = [f"customer {number}" for number in range(40)]
    sent = [
        event(
            rng.choice(users),
            rng.choice(shop.items),
            rng.choice(["view", "cart", "purchase"]),
            LATE + rng.randrange(50),
        )
        for _ in range(1500)
    ]
    for start in range(0, len(sent), 100):
        shop.happened(*sent[start : start + 100])
        if start in {300, 900}:
            kill(system.settings, "worker-0")
    system.wait(120)
    system.wait_for_drift()
    assert found(system, sample=200).differing == {}


def test_the_feature_server_answers_for_ids_that_are_texts(shop: Shop) -> None:
    shop.system.wait_for_items()
    itemid = shop.items[11]
    body = {"feature_service": "ml_item", "entities": {"itemid": [itemid]}}
    address = f"http://127.0.0.1:{shop.system.settings.feast.port}/get-online-features"
    asked = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        told = json.load(answer)
    row = {
        name: each["values"][0] for name, each in zip(told["metadata"]["feature_names"], told["results"], strict=True)
    }
    item = shop.system.get(f"/items/{itemid}").json()
    assert (row["itemid"], row["n"], row["likes"]) == (itemid, item["n"], item["likes"])


def test_a_rebuild_gives_the_same_state_and_switches_to_it(shop: Shop) -> None:
    system = shop.system
    userid = shop.somebody()
    before = shop.user(userid).json()
    done = succeed("rebuild")
    assert done["events"] >= len(system.events)
    system.wait_until_ready()
    after = shop.user(userid).json()
    assert {name: after[name] for name in before if name != "as_of"} == {
        name: before[name] for name in before if name != "as_of"
    }
    assert found(system, sample=100).differing == {}
    succeed("rebuild", "--drop")


def test_nothing_is_left_of_customers_who_are_erased_and_swept_away(shop: Shop) -> None:
    system = shop.system
    known, new = next(shop.erased), "swept away"
    shop.happened(*(event(new, itemid, "purchase", LATE) for itemid in shop.items[:4]))
    for userid in (known, new):
        answer = requests.delete(f"{system.api}/users/{userid}", timeout=30)
        assert answer.status_code == 202
    system.wait_for_drift()
    assert found(system, sample=100).differing == {}
    swept = sweep(system.settings, now=True, progress=lambda what, share: None)
    assert swept.users >= 2
    folder = system.settings.data_folder
    aside = folder.with_name("data-before")
    folder.rename(aside)
    try:
        system.wait()
        # The archive has the history without them, and the oracle reads it there.
        after = found(system, sample=100)
        hits = [str(hit) for userid in (known, new) for hit in search(system.settings, userid, lambda *_: None)]
    finally:
        aside.rename(folder)
    assert after.differing == {} and after.sampled > 0
    assert hits == []
    assert found(system, sample=100).differing == {}
    # Where events are gone, nobody knows what drift counted; the tests of that need a log with all of them.
    system.start_over()
    system.wait_until_ready()
    left = [event for event in system.events if event.userid != known]
    assert succeed("replay", "--max")["sent"] == len(left) < len(system.events)
    system.events = left


@pytest.mark.parametrize("round_of", ROUNDS, ids=range(len(ROUNDS)))
def test_what_was_tampered_with_is_reported_by_name(shop: Shop, round_of: dict[str, Tampering]) -> None:
    require_events(shop.system)
    require_reported(shop.system, round_of)


@pytest.mark.parametrize("page", ["live", "stream", "drift", "quality"])
def test_the_pages_answer(shop: Shop, page: str) -> None:
    answer = shop.system.get(f"/{page}")
    assert answer.status_code == 200
    assert not any(word in answer.text.lower() for word in ("film", "movie", "genre", "star "))


def test_the_pages_are_told_of_the_shop(shop: Shop) -> None:
    told = shop.system.get("/pages/data/dataset").json()
    assert (told["name"], told["ids"]) == ("Shop", "string")
    assert [each["name"] for each in told["types"]] == ["view", "cart", "purchase"]
    shop.system.wait_for_drift()
    names = shop.system.get("/pages/data/series").json()
    assert "label" in names and any(name.startswith("label:") for name in names)


def test_commands_take_ids_that_are_texts(shop: Shop) -> None:
    userid, itemid = shop.somebody(), shop.items[5]
    sent = succeed("event", userid, itemid, "cart")
    assert sent["partition"] == shop.system.partition(userid)
    listed = succeed("rec", userid, "--size", "3")
    assert len(listed["item_list"]) == 3
    assert "purchase" in refuse("event", userid, itemid, "rent")
    assert succeed("verify", "--sample", "50")["differences"] == 0


def test_the_api_and_the_batch_evaluation_give_the_same_lists(shop: Shop) -> None:
    system = shop.system
    system.start_over()
    system.wait_until_ready()
    compared = succeed("evaluate", "--api", "--sample", "40")["api"]
    assert compared["events"] == 40 and compared["positions"] > 40 * 30
    # The API's list for a customer without events has all 50 popular items, the batch's as many as recall gives, 40.
    assert compared["share_equal"] >= 0.99, compared
    assert succeed("replay", "--max")["sent"] > 0
    system.wait_for_drift()
    assert found(system, sample=50).differing == {}
