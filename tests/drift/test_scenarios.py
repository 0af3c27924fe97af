"""Scenarios are pure, begin where they are told to, and say what they change; in a shop as among films."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Event, Id, Item, Schema
from features.broken import Broken, How
from producers.scenarios import (
    FEATURE,
    NEW,
    ScenarioError,
    Stream,
    booming_value,
    inverted_value,
    scenario,
    scenarios,
)
from tests import movielens, shop
from tests.movielens import GENRES


@dataclass(frozen=True)
class Sample:
    schema: Schema
    events: list[Event]
    items: dict[Id, Item]

    def of(self, name: str) -> list[Event]:
        return [each.event for each in scenario(name, self.schema, self.events, self.items, 0, 1)]

    @property
    def stream(self) -> Stream:
        return Stream(self.schema, self.events, self.items)


FILMS = Sample(
    movielens.SCHEMA,
    [movielens.rated(1 + n % 40, 1 + (n * n) % 60, 1 + n % 5, 1000 + n) for n in range(600)],
    {itemid: movielens.item(itemid, f"item {itemid}", 1990, (itemid % len(GENRES),)) for itemid in range(1, 100)},
)
GOODS = Sample(
    shop.SCHEMA,
    [
        shop.event(f"user {n % 40}", f"item {(n * n) % 60}", shop.PURCHASE if n % 5 == 0 else shop.VIEW, 1000 + n)
        for n in range(600)
    ],
    {f"item {n}": shop.item(f"item {n}", "", (0,) if n % 2 else (n % 3,), n % 7, float(n)) for n in range(99)},
)
SAMPLES = {"films": FILMS, "goods": GOODS}
NAMED = [(sample, name) for sample in SAMPLES for name in scenarios(SAMPLES[sample].schema)]


@given(st.sampled_from(NAMED), st.integers(0, 700), st.integers(0, 5))
def test_a_scenario_is_a_function_of_events_and_seed(named: tuple[str, str], begin: int, seed: int) -> None:
    sample, name = SAMPLES[named[0]], named[1]

    def changed(begin: int) -> list[object]:
        return list(scenario(name, sample.schema, sample.events, sample.items, begin, seed))

    told = scenario(name, sample.schema, sample.events, sample.items, begin, seed)
    assert told == changed(begin)
    assert [each.event for each in told[:begin]] == sample.events[:begin]
    assert told[begin:] == changed(0)[begin:]
    said = {dict(each.headers).get("scenario") for each in told[begin:]}
    assert said <= ({None} if name == "none" else {name.encode()})
    assert not any(each.headers for each in told[:begin])


@given(st.sampled_from(NAMED), st.integers(0, 5))
def test_all_events_of_a_scenario_can_be_sent(named: tuple[str, str], seed: int) -> None:
    sample, name = SAMPLES[named[0]], named[1]
    for each in scenario(name, sample.schema, sample.events, sample.items, 0, seed):
        assert sample.schema.events.decode(*sample.schema.events.encode(each.event)) == each.event
        assert each.event.itemid in sample.items


def test_the_scenarios_of_a_data_set_are_named_by_its_terms() -> None:
    common = [
        "none",
        "inverted",
        "new-users",
        "broken-constant",
        "broken-missing",
        "broken-scaled",
        "popularity-collapse",
    ]
    assert sorted(scenarios(movielens.SCHEMA)) == sorted([*common, "genre-boom"])
    assert sorted(scenarios(shop.SCHEMA)) == sorted([*common, "category-boom"])
    with pytest.raises(
        ScenarioError, match="there is no scenario 'genre-boom'; choose one of none, inverted, category-"
    ):
        scenario("genre-boom", shop.SCHEMA, GOODS.events, GOODS.items, 0, 1)


def test_the_value_of_the_most_items_is_inverted_and_one_that_is_not_rare_booms() -> None:
    counts = [30, 20, 12, 9, 5, 4, 1]
    kinds = [genre for genre, count in enumerate(counts) for _ in range(count)]
    items: dict[Id, Item] = {itemid: movielens.item(itemid, genres=(genre,)) for itemid, genre in enumerate(kinds, 1)}
    stream = Stream(movielens.SCHEMA, [], items)
    inverted, booming = inverted_value(stream), booming_value(stream)
    assert inverted is not None and booming is not None
    assert (inverted.name(movielens.SCHEMA), booming.name(movielens.SCHEMA)) == (GENRES[0], GENRES[2])


def test_ratings_of_films_are_mirrored() -> None:
    value = inverted_value(FILMS.stream)
    assert value is not None
    chosen = FILMS.stream.items_of(value)
    assert 0 < len(chosen) < len(FILMS.items)
    for before, after in zip(FILMS.events, FILMS.of("inverted"), strict=True):
        assert after.code == (6 - before.code if before.itemid in chosen else before.code)


def test_purchases_become_views_and_views_purchases() -> None:
    value = inverted_value(GOODS.stream)
    assert value is not None and value.name(shop.SCHEMA) == "garden"
    chosen = GOODS.stream.items_of(value)
    assert {event.itemid for event in GOODS.events} - chosen
    other = {shop.VIEW: shop.PURCHASE, shop.PURCHASE: shop.VIEW}
    for before, after in zip(GOODS.events, GOODS.of("inverted"), strict=True):
        assert after.code == (other[before.code] if before.itemid in chosen else before.code)


@pytest.mark.parametrize(("sample", "boom"), [("films", "genre-boom"), ("goods", "category-boom")])
def test_each_changes_what_its_name_says(sample: str, boom: str) -> None:
    of = SAMPLES[sample]
    assert of.of("none") == of.events
    value = booming_value(of.stream)
    assert value is not None
    booming = of.stream.items_of(value)
    share = [np.mean([event.itemid in booming for event in some]) for some in (of.events, of.of(boom))]
    assert share[1] > share[0] + 0.15
    known = {event.userid for event in of.events}
    assert 0.4 < np.mean([event.userid not in known for event in of.of("new-users")]) < 0.95
    popular = {event.itemid for event in of.events}
    assert np.mean([event.itemid in popular for event in of.of("popularity-collapse")]) < 0.6


@pytest.mark.parametrize("sample", SAMPLES)
def test_new_users_keep_their_own_history(sample: str) -> None:
    before, after = SAMPLES[sample].events, SAMPLES[sample].of("new-users")
    pairs = {(one.userid, other.userid) for one, other in zip(before, after, strict=True)}
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def test_new_users_have_valid_ids_also_where_there_is_little_room_for_them() -> None:
    most = 2**31 - 1
    films = [movielens.rated(userid, 1, 5, 1000) for userid in (1, NEW + 1, most - 1, most) for _ in range(3)]
    goods = [shop.event(userid, "item 1", shop.VIEW, 1000) for userid in ("a" * 128, "a" * 127 + "b", "new-1-c", "c")]
    for sample, events in ((FILMS, films), (GOODS, goods)):
        for seed in range(9):
            made = scenario("new-users", sample.schema, events, sample.items, 0, seed)
            assert all(sample.schema.user_ids.valid(each.event.userid) for each in made)
            assert len({each.event.userid for each in made}) == 4


@pytest.mark.parametrize("how", list(How))
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_broken_feature_breaks_and_nothing_else(how: How, sample: str) -> None:
    of = SAMPLES[sample]
    columns = of.schema.dense_columns
    (told,) = scenario(f"broken-{how.value}", of.schema, of.events[:1], of.items, 0, 1)
    assert told.event == of.events[0]
    broken = Broken.of(told.headers, columns)
    assert broken == Broken(FEATURE, how)
    row = np.full(len(columns), 0.25, dtype=np.float32)
    broken.apply(row, columns)
    changed = row[columns.index(FEATURE)]
    assert np.isnan(changed) if how is How.MISSING else changed == {How.CONSTANT: 0.5, How.SCALED: 2.5}[how]
    assert (row == 0.25).sum() == len(row) - 1


@pytest.mark.parametrize("value", [b"", b"x=constant", b"item_year=gone", b"\xff"])
def test_a_header_that_is_not_understood_breaks_nothing(value: bytes) -> None:
    columns = movielens.SCHEMA.dense_columns
    assert Broken.of([("broken", value), ("other", b"item_year=scaled")], columns) is None
    assert Broken.of([("broken", b"item_year=scaled")], columns) is not None
