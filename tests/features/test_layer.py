"""The layer of changed items: the greatest change counts, in whatever order a shard meets them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import EventError, Id, Item, ItemChange, Layer
from features.layer import item_at, published, revision_of
from features.waiting import TOO_MANY, erase_waiting, wait
from tests import shop

BASE: dict[Id, Item] = {itemid: shop.item(itemid, itemid, (place,)) for place, itemid in enumerate("ab")}

CATEGORIES = ["garden", "kitchen", "toys"]


def put(itemid: str, version: int, category: str, **words: object) -> ItemChange:
    return shop.SCHEMA.events.item_change(itemid, version, {"categories": [category]} | words)


withdraw = shop.SCHEMA.events.withdrawal

changes = st.one_of(
    st.builds(put, st.sampled_from("abc"), st.integers(1, 4), st.sampled_from(CATEGORIES)),
    st.builds(withdraw, st.sampled_from("abc"), st.integers(1, 4)),
)
"""Of few items and versions, so that many are of one version."""


def layer_of(met: list[ItemChange]) -> Layer:
    layer = Layer(BASE)
    for change in met:
        layer.apply(change)
    return layer


def state(layer: Layer) -> object:
    return {itemid: changed.current for itemid, changed in layer.changed.items()}, dict(layer), layer.withdrawn


@given(st.lists(changes, max_size=12), st.randoms())
def test_shards_that_meet_the_same_changes_in_other_orders_have_the_same_items(met: list[ItemChange], random) -> None:
    shuffled = [*met, *met]
    random.shuffle(shuffled)
    assert state(layer_of(shuffled)) == state(layer_of(met))


@given(st.lists(changes, max_size=12))
def test_the_greatest_change_counts_and_a_withdrawn_item_keeps_its_attributes(met: list[ItemChange]) -> None:
    layer = layer_of(met)
    for itemid in "abc":
        of_item = [change for change in met if change.itemid == itemid]
        greatest = max(of_item, key=lambda change: (change.version, change.text), default=None)
        attributes = [change for change in of_item if not change.withdrawn]
        item = max(attributes, key=lambda change: (change.version, change.text)).item if attributes else None
        assert layer.get(itemid) == (item or BASE.get(itemid))
        assert (itemid in layer.withdrawn) == (greatest is not None and greatest.withdrawn)
        assert layer.version(itemid) == (0 if greatest is None else greatest.version)


@given(st.lists(changes, max_size=12))
def test_a_change_that_changes_nothing_says_so(met: list[ItemChange]) -> None:
    layer = Layer(BASE)
    for change in met:
        before = state(layer)
        assert layer.apply(change) == (state(layer) != before)
    for change in met:
        assert not layer.apply(change)


@given(st.lists(changes, max_size=12))
def test_every_revision_that_was_current_is_kept(met: list[ItemChange]) -> None:
    layer, current = Layer(BASE), {(itemid, 0): item for itemid, item in BASE.items()}
    for change in met:
        layer.apply(change)
        if change.itemid in layer:
            current[change.itemid, layer.revision(change.itemid)] = layer[change.itemid]
        assert {key: layer.at(*key) for key in current} == current


@given(st.lists(st.lists(changes, max_size=6), min_size=1, max_size=4))
def test_merged_layers_are_the_layer_of_all_changes(by_shard: list[list[ItemChange]]) -> None:
    layers = [layer_of(met) for met in by_shard]
    merged = Layer.merged(layers)
    assert state(merged) == state(layer_of([change for met in by_shard for change in met]))
    for layer in layers:
        for itemid, changed in layer.changed.items():
            assert merged.changed[itemid].counted.items() >= changed.counted.items()
    assert merged == Layer.merged(reversed(layers))
    before = state(layers[0])
    merged.apply(put("a", 9, "toys"))
    assert state(layers[0]) == before


@given(st.lists(changes, max_size=12))
def test_a_layer_is_a_mapping_of_the_current_items(met: list[ItemChange]) -> None:
    layer = layer_of(met)
    assert len(layer) == len([*layer]) == len({*layer})
    assert all(itemid in layer and layer[itemid].itemid == itemid for itemid in layer)
    assert "z" not in layer and layer.get("z") is None


def test_the_same_attributes_under_a_higher_version_are_no_new_revision() -> None:
    layer = layer_of([put("a", 1, "toys")])
    revision = layer.revision("a")
    assert layer.apply(put("a", 2, "toys"))
    assert (layer.revision("a"), layer.version("a")) == (revision, 2)
    assert len(layer.changed["a"].counted) == 1


def test_two_changes_of_one_version_are_two_revisions() -> None:
    layer = layer_of([put("a", 1, "garden"), put("a", 1, "toys")])
    assert {item.values[0] for item in layer.changed["a"].counted.values()} == {(0,), (2,)}
    assert layer["a"].values[0] == (2,)


def test_a_withdrawal_of_an_unknown_item_is_remembered_until_a_higher_change() -> None:
    layer = layer_of([withdraw("z", 5)])
    assert "z" not in layer and layer.withdrawn == {"z"}
    assert layer.apply(put("z", 3, "toys")), "its attributes arrive late"
    assert layer["z"].values[0] == (2,) and layer.withdrawn == {"z"}
    assert layer.apply(put("z", 6, "garden"))
    assert layer.withdrawn == set() and layer["z"].values[0] == (0,)


def test_a_plain_mapping_is_a_catalogue_in_which_nothing_changed() -> None:
    assert published(BASE) is BASE and revision_of(BASE, "a") == 0 and item_at(BASE, "a", 0) is BASE["a"]
    with pytest.raises(KeyError):
        item_at(BASE, "a", 1)


def test_a_copy_of_a_layer_is_changed_by_itself() -> None:
    layer = layer_of([put("a", 1, "toys")])
    layer.copy().apply(put("a", 2, "garden"))
    assert layer.version("a") == 1


def test_an_event_waits_once_and_only_so_many_wait() -> None:
    waiting: dict[Id, list[tuple[int, str]]] = {}
    for offset, itemid in ((3, "z"), (4, "y"), (3, "z"), (5, "z")):
        wait(waiting, itemid, (offset, f"u{offset}"), most=3)
    assert waiting == {"z": [(3, "u3"), (5, "u5")], "y": [(4, "u4")]}
    wait(waiting, "z", (5, "u5"), most=3)
    with pytest.raises(EventError, match=TOO_MANY):
        wait(waiting, "z", (6, "u6"), most=3)
    erase_waiting(waiting, lambda entry: entry[1] in {"u3", "u4"})
    assert waiting == {"z": [(5, "u5")]}
