"""Lists of items that follow from no user, and exploration, on films and in a shop."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import servers
from bench import filters
from features import Id, Item
from features.counters import WEEK
from offline import runs
from offline.data import generate_shop
from scoring.counters import FEW
from tests.commands import refuse, succeed
from tests.polling import until
from tests.system.conftest import PATIENT, System, serving

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SHARE = 0.2


@pytest.fixture(scope="module")
def goods(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A shop whose lists explore. It starts after the films, as its environment ends before theirs."""
    folder = tmp_path_factory.mktemp("goods")
    generate_shop.make(folder / "data", users=100, items=150, events=2400, seed=6)
    variables = {
        "REELSTREAM_DATA__DATASET": "shop",
        "REELSTREAM_DATA__FOLDER": str(folder / "data"),
        "REELSTREAM_RECALL__EXPLORE_SHARE": str(SHARE),
        **PATIENT,
    }
    with serving(folder, folder / "data", **variables) as running:
        assert succeed("replay", "--max")["sent"] == len(running.events)
        running.wait_for_items()
        yield running


@pytest.fixture(params=["system", "goods"])
def either(request: pytest.FixtureRequest) -> System:
    """Films, then the shop."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, System)
    return found


def listed(system: System, path: str, **query: object) -> list[dict[str, Any]]:
    answer = system.get(f"{path}?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items()))
    assert answer.status_code == 200, answer.text
    assert answer.json()["degraded"] == []
    found: list[dict[str, Any]] = answer.json()["item_list"]
    return found


def ids(items: list[dict[str, Any]]) -> list[Id]:
    return [item["itemid"] for item in items]


def path_of(itemid: Id) -> str:
    return f"/items/{quote(str(itemid), safe='')}"


def catalogue(system: System) -> dict[Id, Item]:
    return system.published.catalogue()


def category(system: System) -> tuple[str, str]:
    """An attribute, and one of its values that many items have."""
    term = system.schema.terms[0]
    counted = Counter(code for item in catalogue(system).values() for code in item.terms[0])
    return term.name, term.values[counted.most_common(1)[0][0]]


def has(system: System, itemid: Id, value: str) -> bool:
    term = system.schema.terms[0]
    return term.values.index(value) in catalogue(system)[itemid].terms[0]


def directions(system: System) -> dict[Id, np.ndarray]:
    """The item vectors of the run without the bias, each of length 1."""
    live = system.published.run()
    assert live is not None
    itemids, vectors = runs.item_vectors(system.settings.runs / live.run)
    embedding = vectors[:, :-1] / np.linalg.norm(vectors[:, :-1], axis=1, keepdims=True)
    return dict(zip((itemid for itemid in itemids if itemid is not None), embedding, strict=True))


def test_similar_items_are_the_nearest_vectors_and_not_the_item(either: System) -> None:
    vectors = directions(either)
    for itemid in sorted(vectors)[::40]:  # type: ignore[type-var]
        cosine = {other: float(vectors[other] @ vectors[itemid]) for other in vectors if other != itemid}
        best = sorted(cosine.values(), reverse=True)[:5]
        found = listed(either, f"{path_of(itemid)}/similar", size=5)
        assert itemid not in ids(found)
        assert [item["score"] for item in found] == pytest.approx([cosine[other] for other in ids(found)], abs=1e-4)
        # The candidates are the nearest by inner product, so that a short vector may be missed.
        assert sum(item["score"] for item in found) >= sum(best) - 0.1


def test_similar_items_keep_to_a_filter_and_the_list_is_full(either: System) -> None:
    name, value = category(either)
    members = [itemid for itemid in catalogue(either) if has(either, itemid, value)]
    itemid = members[0]
    found = listed(either, f"{path_of(itemid)}/similar", size=8, filter=json.dumps({name: {"any": [value]}}))
    assert len(found) == min(8, len(members) - 1)
    assert all(value in item[name] for item in found)
    assert ids(found) == ids(listed(either, f"{path_of(itemid)}/similar", size=8, **{name: value}))


def test_an_unknown_item_is_similar_to_nothing(either: System) -> None:
    answer = either.get("/items/999999/similar")
    assert (answer.status_code, answer.json()["error"]) == (404, "itemid: 999999 is not in the catalogue")


def test_popular_items_are_those_of_an_unknown_user(either: System) -> None:
    either.wait_for_items()
    found = listed(either, "/items/popular", size=20)
    assert len(found) == 20
    scores = [item["score"] for item in found]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0
    nobody: Id = "nobody" if isinstance(ids(found)[0], str) else 999_996
    answer = either.rec(userid=nobody, size=20)
    assert answer["fallback"] == "unknown_user"
    if not either.settings.recall.explore_share:
        assert ids(answer["item_list"]) == ids(found)
    assert ids(answer["item_list"])[0] == ids(found)[0]


def test_popular_items_of_a_category_are_the_popular_ones_that_are_in_it(either: System) -> None:
    either.wait_for_items()
    name, value = category(either)
    whole = [itemid for itemid in ids(listed(either, "/items/popular", size=120)) if has(either, itemid, value)]
    found = ids(listed(either, "/items/popular", size=6, **{name: value}))
    assert found == whole[: len(found)] and len(found) == min(6, len(whole))


def test_the_latest_items_are_those_that_came_last(either: System) -> None:
    either.wait_for_items()
    found = listed(either, "/items/latest", size=50)
    scores = [item["score"] for item in found]
    assert scores == sorted(scores, reverse=True)
    for item in found[:10]:
        state = either.get(path_of(item["itemid"])).json()
        assert state["n"] > 0
        assert item["score"] <= state["last_ts"]
    name, value = category(either)
    assert all(value in item[name] for item in listed(either, "/items/latest", size=6, **{name: value}))


def test_an_item_without_events_comes_first_after_its_first_one(goods: System) -> None:
    goods.wait_for_items()
    states = {itemid: goods.get(path_of(itemid)).json() for itemid in catalogue(goods)}
    now = max(state["last_ts"] for state in states.values())
    quiet = [itemid for itemid, state in states.items() if state["n"] == 0]
    # Some generated shops sell everything; then the item that came last of all is as good.
    itemid = quiet[0] if quiet else ids(listed(goods, "/items/latest", size=1))[0]
    before = ids(listed(goods, "/items/latest", size=200))
    assert (itemid in before) != bool(quiet)
    ts = now + 2 * WEEK
    sent = goods.post("/events", {"userid": "first of all", "itemid": itemid, "event": "view", "ts": ts})
    assert sent.status_code == 202
    goods.wait_for_items()
    first = listed(goods, "/items/latest", size=1)[0]
    if quiet:
        assert (first["itemid"], first["score"]) == (itemid, ts // WEEK * WEEK)


def test_a_query_that_breaks_a_rule_is_refused(either: System) -> None:
    for query, sentence in (
        ("size=0", "size: input should be greater than or equal to 1"),
        ("size=1000", "size: input should be less than or equal to 200"),
        ("colour=red", "filter: colour is not an attribute by which lists can be restricted"),
        ("filter=%7B", "filter: must be JSON"),
    ):
        for path in ("/items/popular", "/items/latest"):
            answer = either.get(f"{path}?{query}")
            assert answer.status_code == 400
            assert answer.json()["error"].startswith(sentence)


def test_the_command_prints_similar_items(goods: System) -> None:
    itemid = next(iter(catalogue(goods)))
    found = succeed("similar", str(itemid), "--size", "4")
    assert ids(found["item_list"]) == ids(listed(goods, f"{path_of(itemid)}/similar", size=4))
    assert "is not in the catalogue" in refuse("similar", "999999")


def explored_in(answer: dict[str, Any]) -> list[int]:
    """The positions of a list that explore."""
    return [place for place, item in enumerate(answer["item_list"]) if "exploration" in item["explain"]["sources"]]


def test_a_share_of_the_positions_goes_to_items_with_few_events_and_never_the_first(goods: System) -> None:
    userids = sorted({event.userid for event in goods.events})[:20]
    places = []
    for userid in userids:
        answer = goods.rec(userid=userid, size=20, explain=True)
        explored = explored_in(answer)
        assert len(answer["item_list"]) == 20 and len(explored) == SHARE * 20
        assert 0 not in explored
        scores = [item["score"] for item in answer["item_list"]]
        assert scores == sorted(scores, reverse=True)
        for place in explored:
            item = answer["item_list"][place]
            assert item["explain"]["sources"]["exploration"] < FEW
            assert goods.get(path_of(item["itemid"])).json()["n"] < FEW
        places.append(tuple(explored))
    assert len({*places}) > 5


def test_a_list_that_explores_is_the_same_until_the_partition_moves_on(goods: System) -> None:
    userid = goods.events[-1].userid
    lists = [ids(goods.rec(userid=userid, size=30)["item_list"]) for _ in range(3)]
    assert lists[0] == lists[1] == lists[2]
    batch = goods.post("/ml/rec/batch", [{"userid": userid, "size": 30}]).json()
    assert ids(batch[0]["item_list"]) == lists[0]


def test_a_list_that_explores_keeps_to_a_filter_and_hides_what_is_hidden(goods: System) -> None:
    name, value = category(goods)
    userid = goods.events[-1].userid
    answer = goods.rec(userid=userid, size=10, explain=True, filter={name: {"any": [value]}})
    assert explored_in(answer)
    assert all(value in item[name] for item in answer["item_list"])
    bought = {
        each["itemid"] for each in goods.get(f"/users/{userid}/export").json()["events"] if each["event"] == "purchase"
    }
    assert not bought & {*ids(answer["item_list"])}


def test_without_elasticsearch_lists_of_items_are_the_next_best_ones(goods: System) -> None:
    itemid = next(iter(catalogue(goods)))
    servers.stop(goods.settings, ["elasticsearch"])
    try:
        answer = goods.get(f"{path_of(itemid)}/similar?size=7")
        assert answer.status_code == 200
        assert answer.json()["degraded"] == ["elasticsearch"]
        assert len(answer.json()["item_list"]) == 7
        assert itemid not in ids(answer.json()["item_list"])
        assert len(listed(goods, "/items/popular", size=7)) == 7
    finally:
        servers.start(goods.settings, ["elasticsearch"])
        goods.wait_until_ready()
        until(lambda: goods.get(f"{path_of(itemid)}/similar").json()["degraded"] == [])


def test_restricted_lists_of_every_kind_are_full_where_the_catalogue_allows_it(either: System) -> None:
    users = sorted({event.userid for event in either.events})
    figures = filters(either.settings, either.schema, catalogue(either), users, 5, lambda what, share: None)
    assert {"plain", "any", "range"} <= figures.keys()
    for name, of in figures.items():
        assert (of["requests"], of["failed"], of["short"]) == (5, 0, 0), name
