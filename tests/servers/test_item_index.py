"""The weights of items in an index of Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from features import Item
from settings import Settings
from stores.elasticsearch import ItemIndex

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

ITEMS = [Item(itemid, f"item {itemid}", 1990, (itemid,)) for itemid in (1, 2, 3)]
VECTORS = {item.itemid: np.eye(4, dtype=np.float32)[item.itemid] for item in ITEMS}


@pytest.fixture
def index(stores: Settings) -> Iterator[tuple[ItemIndex, str]]:
    patient = stores.elasticsearch.model_copy(update={"timeout_s": 30.0})
    client, name = ItemIndex(patient), f"{patient.alias}-weights"
    client.create(name, 4, len(ITEMS))
    client.fill(name, ITEMS, VECTORS, {1: 0.1, 2: 0.7, 3: 1.1})
    yield client, name
    client.delete(name)
    client.close()


def test_other_weights_are_found_at_once_and_nothing_else_of_an_item_changes(index: tuple[ItemIndex, str]) -> None:
    client, name = index
    before = {document.itemid: document for document in client.documents(name)}
    # 7 is no item of the index, 3 is not named, and 2 has its weight already, which 32 bits do not hold exactly.
    assert client.weigh(name, {1: 0.4, 2: 0.7, 7: 1.0}) == 1
    after = {document.itemid: document for document in client.documents(name)}
    weights = {itemid: round(document.fields["prior"], 6) for itemid, document in after.items()}
    assert weights == {1: 0.4, 2: 0.7, 3: 1.1}
    assert all({**after[itemid].fields, "prior": 0} == {**held.fields, "prior": 0} for itemid, held in before.items())
    assert {itemid: list(held.vector) for itemid, held in after.items()} == {
        itemid: vector.tolist() for itemid, vector in VECTORS.items()
    }
    assert client.count(name) == len(ITEMS)
    assert client.weigh(name, {1: 0.4, 2: 0.7}) == 0
