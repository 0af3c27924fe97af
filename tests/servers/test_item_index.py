"""An index of Elasticsearch: the fields of items of any data set, their weights, and searches that are restricted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
import requests

from features import Id, Item, Schema
from features.columns import ItemTable
from features.schema import Floats
from scoring import Source
from scoring.restriction import AllOf, AnyOf, Between, Condition, Restriction
from settings import RecallSettings, Settings
from stores import Unreachable, item_documents
from stores.elasticsearch import ItemIndex
from stores.item_documents import INDEX_VERSION, fields_of
from stores.item_documents import document as document_of
from tests import movielens, shop

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

FILMS = [movielens.item(itemid, f"item {itemid}", 1950 + 20 * itemid, (itemid, 9)) for itemid in (1, 2, 3)]
GOODS = [
    shop.item(
        f"item {number:02}",
        f"Item {number}",
        tuple(code for code in range(3) if number % (code + 2) == 0),
        number % 4 if number % 5 else -1,
        None if number % 7 == 0 else number / 2,
        "a text" if number % 2 else None,
    )
    for number in range(60)
]
PRIOR = {item.itemid: 0.5 + number / 100 for number, item in enumerate(GOODS)}


def vectors_of(items: list[Item]) -> dict[Id, Floats]:
    rng = np.random.default_rng(len(items))
    return {item.itemid: rng.normal(size=4).astype(np.float32) for item in items}


VECTORS = vectors_of(GOODS)


@pytest.fixture(scope="module")
def client(stores: Settings) -> Iterator[ItemIndex]:
    made = ItemIndex(stores.elasticsearch.model_copy(update={"timeout_s": 30.0}))
    yield made
    made.close()


@pytest.fixture
def films(client: ItemIndex, stores: Settings) -> Iterator[str]:
    name = f"{stores.elasticsearch.alias}-films"
    client.create(name, movielens.SCHEMA, 4, len(FILMS))
    client.fill(name, movielens.SCHEMA, FILMS, vectors_of(FILMS), {1: 0.1, 2: 0.7, 3: 1.1})
    yield name
    client.delete(name)


@pytest.fixture(scope="module")
def goods(client: ItemIndex, stores: Settings) -> Iterator[str]:
    name = f"{stores.elasticsearch.alias}-goods"
    client.create(name, shop.SCHEMA, 4, len(GOODS))
    client.fill(name, shop.SCHEMA, GOODS, VECTORS, PRIOR)
    yield name
    client.delete(name)


def test_other_weights_are_found_at_once_and_nothing_else_of_an_item_changes(client: ItemIndex, films: str) -> None:
    def documents() -> dict[Id | None, tuple[dict[str, object], list[float]]]:
        found = client.documents(films, movielens.SCHEMA)
        return {document.itemid: ({**document.fields}, list(document.vector)) for document in found}

    before = documents()
    # 7 is no item of the index, 3 is not named, and 2 has its weight already, which 32 bits do not hold exactly.
    assert client.weigh(films, {1: 0.4, 2: 0.7, 7: 1.0}) == 1
    after = documents()
    assert {itemid: fields.pop("prior") for itemid, (fields, _) in after.items()} == pytest.approx(
        {1: 0.4, 2: 0.7, 3: 1.1}
    )
    for fields, _ in before.values():
        del fields["prior"]
    assert after == before
    assert client.count(films) == len(FILMS)
    assert client.weigh(films, {1: 0.4, 2: 0.7}) == 0


@pytest.mark.parametrize(
    ("schema", "items", "name"), [(movielens.SCHEMA, FILMS, "films"), (shop.SCHEMA, GOODS, "goods")]
)
def test_documents_hold_the_attributes_of_any_data_set_in_the_order_of_the_ids(
    client: ItemIndex, schema: Schema, items: list[Item], name: str, request: pytest.FixtureRequest
) -> None:
    index = request.getfixturevalue(name)
    assert client.version(index) == INDEX_VERSION
    documents = list(client.documents(index, schema))
    assert [document.itemid for document in documents] == [item.itemid for item in items]
    assert [document.id for document in documents] == [str(item.itemid) for item in items]
    for document, item in zip(documents, items, strict=True):
        assert {**document.fields, "prior": 1.0} == fields_of(schema, item, 1.0)
        np.testing.assert_array_equal(np.float32(document.vector), vectors_of(items)[item.itemid])


def test_films_are_found_by_the_names_of_their_terms(client: ItemIndex, films: str) -> None:
    genre, decade = movielens.GENRES.index("Animation"), movielens.DECADES.index("1990s")
    limits = RecallSettings(vector_k=1, term_k=10)
    for preferences, expected in (
        ({"genres": {genre: 1.0}}, [2]),
        ({"decade": {decade: 1.0}}, [2]),
        ({"genres": {9: 1.0, genre: 1.0}}, [3, 2, 1]),
    ):
        found = client.recall(films, movielens.SCHEMA, None, preferences, (), limits)
        assert sorted(each.itemid for each in found) == sorted(expected), preferences


CONDITIONS: dict[str, tuple[Condition, ...]] = {
    "none": (),
    "a brand": (AnyOf("brand", ("brand 1", "brand 3")),),
    "a category": (AnyOf("categories", ("garden",)),),
    "two categories at once": (AllOf("categories", ("garden", "kitchen")),),
    "a range of prices": (Between("price", 5.0, 12.5),),
    "a price from": (Between("price", 20.0, None),),
    "a price up to": (Between("price", None, 3.0),),
    "buckets of prices": (AnyOf("price", ("below 10", "20 or more")),),
    "all of it": (AnyOf("brand", ("brand 1", "brand 2")), AnyOf("categories", ("garden",)), Between("price", 1, 25)),
    "nothing": (AllOf("brand", ("brand 1", "brand 2")),),
}


@pytest.mark.parametrize("number", [0, 7, 31])
def test_similar_items_are_the_nearest_by_the_angle_between_vectors_without_the_bias(
    client: ItemIndex, goods: str, number: int
) -> None:
    itemid, limits = GOODS[number].itemid, RecallSettings()
    table = np.stack([VECTORS[item.itemid][:-1] for item in GOODS])
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    cosine = dict(zip((item.itemid for item in GOODS), (table @ table[number]).tolist(), strict=True))
    del cosine[itemid]
    nearest = sorted(cosine, key=lambda each: -cosine[each])
    found = client.similar(goods, shop.SCHEMA, itemid, 9, limits)
    assert [each for each, _ in found] == nearest[:9]
    assert [score for _, score in found] == pytest.approx([cosine[each] for each in nearest[:9]], abs=1e-5)
    toys = {item.itemid for item in GOODS if 2 in item.terms[0]}
    among = client.similar(goods, shop.SCHEMA, itemid, 60, limits, [AnyOf("categories", ("toys",))])
    assert [each for each, _ in among] == [each for each in nearest if each in toys]


def test_an_item_that_the_index_lacks_is_similar_to_none(client: ItemIndex, goods: str) -> None:
    assert client.similar(goods, shop.SCHEMA, "none", 9, RecallSettings()) == []


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_restricted_search_finds_the_nearest_of_those_that_are_left_and_as_many_as_there_are(
    client: ItemIndex, goods: str, name: str
) -> None:
    restriction = Restriction.of(shop.SCHEMA, CONDITIONS[name])
    table = ItemTable(shop.SCHEMA, {item.itemid: item for item in GOODS})
    exclude = {item.itemid for item in GOODS[::9]}
    among = [
        itemid
        for itemid, met in zip(table.itemids, restriction.mask(table).tolist(), strict=True)
        if met and itemid not in exclude
    ]
    vector = np.float32([1, -2, 0.5, 1])
    limits = RecallSettings(vector_k=8, term_k=5)
    nearest = sorted(among, key=lambda itemid: -float(vector @ VECTORS[itemid]))[:8]
    options = {"conditions": restriction.conditions, "sources": True}
    found = client.recall(goods, shop.SCHEMA, vector, {}, exclude, limits, **options)
    assert [each.itemid for each in found] == nearest
    wanted = {"categories": {0: 1.0}, "brand": {1: 0.5}}
    by_terms = client.recall(goods, shop.SCHEMA, None, wanted, exclude, limits, **options)
    matching = [itemid for itemid in among if 0 in table.items[itemid].values[0] or table.items[itemid].values[1] == 1]
    assert len(by_terms) == min(len(matching), 13) and {each.itemid for each in by_terms} <= {*matching}
    both = client.recall(goods, shop.SCHEMA, vector, wanted, exclude, limits, **options)
    assert {each.itemid for each in both if Source.VECTOR in each.sources} == {*nearest}
    assert {each.itemid for each in both} <= {*among}
    assert len(both) == min(13, len({*nearest, *matching}))


def test_a_single_document_is_found_once_it_is_written_and_missed_once_it_is_deleted(
    client: ItemIndex, films: str
) -> None:
    limits = RecallSettings(vector_k=10, term_k=0)
    vector = np.array([9.0, 0.0, 0.0, 0.0], dtype=np.float32)

    def found() -> list[Id]:
        return [each.itemid for each in client.recall(films, movielens.SCHEMA, vector, {}, (), limits)]

    new = movielens.item(7, "New", 1999, (0,))
    changed = movielens.item(2, "Changed", 1951, (1,))
    documents = [document_of(movielens.SCHEMA, new, vector, 0.1), document_of(movielens.SCHEMA, changed, -vector, 0.7)]
    # 99 has no document.
    assert client.change(films, documents, [3, 99]) == []
    assert found() == [7, 1, 2]
    stored = {each.itemid: each for each in client.documents(films, movielens.SCHEMA)}
    assert {**stored[2].fields} == fields_of(movielens.SCHEMA, changed, 0.7) | {"prior": pytest.approx(0.7)}
    assert client.rows(films)[7].tolist() == [*vector.tolist(), pytest.approx(0.1)]
    assert client.change(films, [], [7, 7]) == [] and found() == [1, 2]


def test_of_documents_the_refused_ones_are_told_and_the_others_written(client: ItemIndex, films: str) -> None:
    good = document_of(movielens.SCHEMA, movielens.item(8, "Good", 1999, (0,)), np.ones(4, dtype=np.float32), 0.1)
    refused = client.change(films, [good | {"_id": "9", "itemid": 9, "unheard": 1}, good], [])
    assert len(refused) == 1 and "unheard" in str(refused[0])
    assert client.rows(films).keys() >= {8} and 9 not in client.rows(films)


def test_changes_of_an_index_that_is_gone_make_none(client: ItemIndex, stores: Settings) -> None:
    name = f"{stores.elasticsearch.alias}-gone"
    new = document_of(movielens.SCHEMA, FILMS[0], np.ones(4, dtype=np.float32), 0.1)
    assert client.change(name, [new], [2]) == []
    assert name not in client.indices()


def test_a_whole_number_that_no_double_is_reads_as_what_was_written(client: ItemIndex, films: str) -> None:
    item = movielens.item(8, "Far", -(2**63) + 1, (0,))
    client.change(films, [document_of(movielens.SCHEMA, item, np.zeros(4, dtype=np.float32), 0.5)], [])
    (stored,) = [each for each in client.documents(films, movielens.SCHEMA) if each.itemid == 8]
    assert {**stored.fields} == fields_of(movielens.SCHEMA, item, 0.5)
    client.change(films, [], [8])


def test_a_node_that_lacks_memory_is_told_from_one_that_does_not_answer(
    client: ItemIndex, films: str, stores: Settings
) -> None:
    settings, limit = f"{stores.elasticsearch.url}/_cluster/settings", "indices.breaker.total.limit"
    try:
        requests.put(settings, json={"persistent": {limit: "1mb"}}, timeout=30).raise_for_status()
        with pytest.raises(Unreachable, match=r"too little memory .*elasticsearch\.heap_mb"):
            client.count(films)
    finally:
        requests.put(settings, json={"persistent": {limit: None}}, timeout=30).raise_for_status()
    assert client.count(films) == len(FILMS)


@pytest.fixture
def graph(client: ItemIndex, stores: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The goods in an index that walks a graph, as a large one does."""
    monkeypatch.setattr(item_documents, "FLAT", 20)
    name = f"{stores.elasticsearch.alias}-graph"
    longest = max(float(np.linalg.norm(vector)) for vector in VECTORS.values())
    client.create(name, shop.SCHEMA, 4, len(GOODS), longest)
    client.fill(name, shop.SCHEMA, GOODS, VECTORS, PRIOR, gently=False)
    yield name
    client.delete(name)


def test_an_index_with_a_graph_finds_and_scores_as_one_that_compares_all(
    client: ItemIndex, goods: str, graph: str
) -> None:
    assert client.is_exact(goods) and not client.is_exact(graph)
    limits, exclude = RecallSettings(vector_k=9, term_k=0), ["item 07", "item 30"]
    for vector in np.random.default_rng(4).normal(size=(8, 4)).astype(np.float32):
        exact, walked = (
            client.recall(index, shop.SCHEMA, vector, {}, exclude, limits, sources=True) for index in (goods, graph)
        )
        assert [each.itemid for each in walked] == [each.itemid for each in exact]
        for one, other in zip(walked, exact, strict=True):
            assert one.sources == pytest.approx({**other.sources}, rel=1e-4)
    assert client.similar(graph, shop.SCHEMA, "item 03", 5, limits) == [
        (itemid, pytest.approx(cosine, abs=1e-5))
        for itemid, cosine in client.similar(goods, shop.SCHEMA, "item 03", 5, limits)
    ]
    assert client.rows(graph).keys() == VECTORS.keys()
    assert all(np.array_equal(row[:-1], VECTORS[itemid]) for itemid, row in client.rows(graph).items())


def test_items_come_to_an_index_with_a_graph_and_a_longer_vector_counts_as_the_longest(
    client: ItemIndex, graph: str
) -> None:
    vector = np.float32([0.5, 0.5, -0.5, 0.5])
    new = shop.item("new", "New", (0,), 1, 2.0)
    assert client.change(graph, [document_of(shop.SCHEMA, new, 100 * vector, 0.1)], ["item 01"]) == []
    found = client.recall(graph, shop.SCHEMA, vector, {}, (), RecallSettings(vector_k=60, term_k=0))
    assert found[0].itemid == "new" and len(found) == 60 and "item 01" not in {each.itemid for each in found}
    assert np.array_equal(client.rows(graph)["new"][:-1], 100 * vector)
    assert client.weigh(graph, {"item 02": 0.9}) == 1
    again = client.recall(graph, shop.SCHEMA, vector, {}, (), RecallSettings(vector_k=60, term_k=0))
    assert [each.itemid for each in again] == [each.itemid for each in found], "a weight leaves the graph as it is"


def test_another_index_of_the_same_name_is_searched_as_it_is(
    client: ItemIndex, graph: str, stores: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, vector = RecallSettings(vector_k=9, term_k=0), np.float32([1, 0, 0, 1])
    other = ItemIndex(stores.elasticsearch)
    wanted = other.recall(graph, shop.SCHEMA, vector, {}, (), limits)
    assert len(wanted) == 9
    for most in (100, 20):
        monkeypatch.setattr(item_documents, "FLAT", most)
        client.create(graph, shop.SCHEMA, 4, len(GOODS), 10.0)
        client.fill(graph, shop.SCHEMA, GOODS, VECTORS, PRIOR)
        with suppress(Unreachable):
            assert other.recall(graph, shop.SCHEMA, vector, {}, (), limits) == []
        assert other.recall(graph, shop.SCHEMA, vector, {}, (), limits) == wanted
    other.close()
