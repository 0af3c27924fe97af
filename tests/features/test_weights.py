"""The decayed weights of terms: exact, whatever the order of events, and gone with the event that they are from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Codes, Event, Item, Schema, fold
from features.dataset import Condition, Feedback, parse
from features.dataset.part import MAX_SECONDS
from features.weights import Weights, begin_earlier, weigh
from tests import shop
from tests.movielens import SCHEMA, item, rated
from tests.weights import obvious_weights

HALF_LIFE = SCHEMA.codes.half_life_s
FILMS = {1: item(1, "a", 1985, (0, 4)), 2: item(2, "b", 1995, (4,)), 3: item(3, "c", 1995, (7,)), 4: item(4, "d", 1995)}
GOODS = {sku: shop.item(sku, sku, (0, 1, 2)[: 1 + n % 3], n, 5.0 * n) for n, sku in enumerate("abcdef")}

times = st.one_of(st.integers(0, 50), st.integers(0, 9 * HALF_LIFE), st.integers(0, MAX_SECONDS))
clicks = st.builds(shop.event, st.just("u"), st.sampled_from(sorted(GOODS)), st.integers(1, 3), times)


def folded(events: list[Event], items: dict[int, Item] = FILMS) -> list[dict[int, int]]:
    """The weights of ratings, each of another item."""
    profile = SCHEMA.profile(1)
    for event in events:
        fold(SCHEMA.codes, profile, None, event, items)
    return profile.weights


def summed(schema: Schema, events: list[Event], first_ts: int, by: int = 1) -> Weights:
    weights: Weights = [{} for _ in schema.terms]
    for event in events:
        weigh(schema.codes, weights, first_ts, GOODS[event.itemid].terms, event.ts, event.code, by)
    return weights


def test_an_event_that_is_a_half_life_older_weighs_half_and_both_are_split_between_the_values_of_their_item() -> None:
    genres, decades = folded([rated(1, 2, 5, 7), rated(1, 1, 5, 7 + HALF_LIFE)])
    assert genres == {4: 2 * genres[0], 0: genres[0]}
    assert decades[7] == 2 * decades[8] == 2 * genres[0]


def test_within_a_half_life_weights_grow_by_the_root_of_two_of_each_step() -> None:
    last, first = rated(1, 2, 5, HALF_LIFE - 1), rated(1, 3, 5, 0)
    genres, _ = folded([first, last])
    assert genres[4] / genres[7] == pytest.approx(2 ** (63 / 64), rel=1e-3)


def test_a_dislike_takes_half_of_a_like_away_and_may_leave_less_than_nothing() -> None:
    genres, _ = folded([rated(1, 2, 5, 9), rated(1, 3, 2, 9)])
    assert genres == {4: -2 * genres[7], 7: genres[7]} and genres[7] < 0
    genres, _ = folded([rated(1, 1, 2, 9), rated(1, 2, 4, 9)])
    assert genres[4] == -3 * genres[0]


def test_an_item_without_values_adds_nothing() -> None:
    assert folded([rated(1, 4, 5, 9)])[0] == {}


def test_a_rating_that_is_replaced_leaves_no_weight_behind() -> None:
    profile = SCHEMA.profile(1)
    fold(SCHEMA.codes, profile, None, rated(1, 1, 5, 10), FILMS)
    fold(SCHEMA.codes, profile, (10, 5), rated(1, 1, 2, 9 * HALF_LIFE), FILMS)
    again = SCHEMA.profile(1)
    fold(SCHEMA.codes, again, None, rated(1, 1, 2, 9 * HALF_LIFE), FILMS)
    begin_earlier(SCHEMA.codes, again.weights, 9 * HALF_LIFE, 10)
    assert profile.weights == again.weights


def test_a_profile_that_was_lost_can_be_folded_into_though_its_seen_filter_is_left() -> None:
    profile = SCHEMA.profile(1)
    assert fold(SCHEMA.codes, profile, (10, 5), rated(1, 1, 2, 9 * HALF_LIFE), FILMS)
    assert profile.first_ts == 9 * HALF_LIFE and all(weight < 0 for weight in profile.weights[0].values())


@given(st.lists(clicks, max_size=30))
def test_events_that_are_all_taken_back_leave_nothing(events: list[Event]) -> None:
    first_ts, codes = min((event.ts for event in events), default=0), shop.SCHEMA.codes
    weights = summed(shop.SCHEMA, events, first_ts)
    for event in events:
        weigh(codes, weights, first_ts, GOODS[event.itemid].terms, event.ts, event.code, -1)
    assert weights == [{}, {}, {}]


@given(st.lists(clicks, max_size=30), st.randoms())
def test_weights_are_the_same_in_any_order_and_those_of_the_obvious_sum(events: list[Event], random) -> None:
    shuffled, codes, profile = list(events), shop.SCHEMA.codes, shop.SCHEMA.profile("u")
    random.shuffle(shuffled)
    for event in shuffled:
        # Nothing is known of any, so that each counts.
        fold(codes, profile, None, event, GOODS)
    first_ts = min((event.ts for event in events), default=0)
    expected = obvious_weights(shop.SCHEMA, [(event, GOODS[event.itemid]) for event in events], first_ts)
    assert profile.weights == expected == summed(shop.SCHEMA, events, first_ts)


@given(st.lists(clicks, min_size=1, max_size=9), st.integers(0, MAX_SECONDS))
def test_a_first_event_that_comes_late_shifts_all_weights(events: list[Event], ts: int) -> None:
    before, now = min(event.ts for event in events), min(ts, *(event.ts for event in events))
    weights = summed(shop.SCHEMA, events, before)
    begin_earlier(shop.SCHEMA.codes, weights, before, now)
    assert weights == summed(shop.SCHEMA, events, now)


def test_no_time_that_an_event_can_have_makes_a_weight_of_more_than_seven_kilobytes() -> None:
    schema = Schema(parse("term_half_life_days = 1\n" + shop.DESCRIPTION), shop.SCHEMA.learned)
    (categories, _, _) = summed(schema, [shop.event("u", "a", shop.PURCHASE, MAX_SECONDS)] * 10_000, 0)
    assert categories[0].bit_length() < 8 * 7_000


def test_a_copy_of_a_profile_has_weights_of_its_own() -> None:
    profile = SCHEMA.profile(1)
    fold(SCHEMA.codes, profile, None, rated(1, 1, 5, 10), FILMS)
    kept = profile.copy()
    fold(SCHEMA.codes, profile, None, rated(1, 2, 5, 10), FILMS)
    assert kept.weights != profile.weights and kept.weights[0].keys() == {0, 4}


def test_weights_of_codes_are_parts_of_the_greatest_so_that_only_their_ratios_matter() -> None:
    assert SCHEMA.codes.term_weights == (0, -512, -512, -512, 1024, 1024)
    assert shop.SCHEMA.codes.term_weights == (0, 102, 512, 1024)
    like = Condition("always")
    for scale in (1e-300, 1.0, 1e300):
        types = {"view": Feedback(weight=scale), "like": Feedback(positive=like, weight=2 * scale)}
        assert Codes({**types, "skip": Feedback(negative=like, weight=scale)}).term_weights == (0, 51, 1024, -256)


def test_the_half_life_is_that_of_the_description() -> None:
    assert shop.SCHEMA.codes.half_life_s == 30 * 86_400
    assert Schema(parse("term_half_life_days = 7\n" + shop.DESCRIPTION)).codes.half_life_s == 7 * 86_400
