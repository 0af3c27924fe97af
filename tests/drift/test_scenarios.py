"""Scenarios are pure, begin where they are told to, and say what they change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import DENSE_COLUMNS, GENRES, Event, Item
from features.broken import Broken, How
from producers.scenarios import BOOM, FEATURE, GENRE, NEW, SCENARIOS, ScenarioName, scenario

ITEMS = {itemid: Item(itemid, f"item {itemid}", 1990, (itemid % len(GENRES),)) for itemid in range(1, 100)}
EVENTS = [Event(1 + n % 40, 1 + (n * n) % 60, 1 + n % 5, 1000 + n) for n in range(600)]


@given(st.sampled_from(sorted(SCENARIOS)), st.integers(0, 700), st.integers(0, 5))
def test_a_scenario_is_a_function_of_events_and_seed(name: ScenarioName, begin: int, seed: int) -> None:
    told = scenario(name, EVENTS, ITEMS, begin, seed)
    assert told == scenario(name, EVENTS, ITEMS, begin, seed)
    assert [each.event for each in told[:begin]] == EVENTS[:begin]
    assert told[begin:] == scenario(name, EVENTS, ITEMS, 0, seed)[begin:]
    said = {dict(each.headers).get("scenario") for each in told[begin:]}
    assert said <= ({None} if name == "none" else {name.encode()})
    assert not any(each.headers for each in told[:begin])


def test_each_changes_what_its_name_says() -> None:
    def of(name: ScenarioName) -> list[Event]:
        return [each.event for each in scenario(name, EVENTS, ITEMS, 0, 1)]

    assert of("none") == EVENTS
    genre = GENRES.index(GENRE)
    for before, after in zip(EVENTS, of("inverted"), strict=True):
        assert after.rating == (6 - before.rating if genre in ITEMS[before.itemid].genres else before.rating)
    boom = GENRES.index(BOOM)
    share = [np.mean([boom in ITEMS[event.itemid].genres for event in some]) for some in (EVENTS, of("genre-boom"))]
    assert share[1] > share[0] + 0.2
    assert 0.5 < np.mean([event.userid > NEW for event in of("new-users")]) < 0.9
    popular = {event.itemid for event in EVENTS}
    assert np.mean([event.itemid in popular for event in of("popularity-collapse")]) < 0.6


@pytest.mark.parametrize("how", list(How))
def test_a_broken_feature_breaks_and_nothing_else(how: How) -> None:
    (told,) = scenario(f"broken-{how.value}", EVENTS[:1], ITEMS, 0, 1)
    assert told.event == EVENTS[0]
    broken = Broken.of(told.headers)
    assert broken == Broken(FEATURE, how)
    row = np.full(len(DENSE_COLUMNS), 0.25, dtype=np.float32)
    broken.apply(row)
    changed = row[DENSE_COLUMNS.index(FEATURE)]
    assert np.isnan(changed) if how is How.MISSING else changed == {How.CONSTANT: 0.5, How.SCALED: 2.5}[how]
    assert (row == 0.25).sum() == len(row) - 1


@pytest.mark.parametrize("value", [b"", b"x=constant", b"item_year=gone", b"\xff"])
def test_a_header_that_is_not_understood_breaks_nothing(value: bytes) -> None:
    assert Broken.of([("broken", value), ("other", b"item_year=scaled")]) is None
