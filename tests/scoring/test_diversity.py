"""Diversity: no value more often than allowed, the best items first, and lists as long as they can be."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scoring.diversity import Kinds, Values, diverse, sparing

single = st.lists(st.integers(-1, 3).map(lambda code: () if code < 0 else ((0, code),)), max_size=14)
several = st.lists(st.sets(st.integers(0, 4), max_size=3).map(lambda codes: tuple((0, code) for code in sorted(codes))))
of_two = st.lists(
    st.tuples(st.integers(0, 2), st.sets(st.integers(0, 2), max_size=2)).map(
        lambda pair: ((0, pair[0]), *((1, code) for code in sorted(pair[1])))
    ),
    max_size=9,
)
limits = st.integers(1, 3)
sizes = st.integers(1, 9)


def items(values: list[Values], *most: int) -> Kinds:
    """Items that have these values, each value at most so many times, by limit; some are of one kind."""
    kinds = sorted({*values})
    return Kinds(np.array([kinds.index(of_item) for of_item in values], dtype=np.int64), kinds, most)


def keeps(most: list[int], values: list[Values]) -> bool:
    counts = Counter(value for of_item in values for value in of_item)
    return all(count <= most[place] for (place, _), count in counts.items())


@given(single, limits, sizes)
def test_with_one_value_each_a_list_takes_the_next_item_that_its_value_allows(
    values: list[Values], most: int, size: int
) -> None:
    expected, counts = [], Counter[Values]()
    for place, value in enumerate(values):
        if len(expected) < size and (not value or counts[value] < most):
            counts[value] += 1
            expected.append(place)
    assert diverse(items(values, most), size) == expected
    free = Counter(values)
    longest = sum(count if not value else min(count, most) for value, count in free.items())
    assert len(expected) == min(size, longest)


@given(several | of_two, limits, limits, sizes)
def test_no_value_occurs_more_often_than_allowed_and_the_order_stays(
    values: list[Values], most: int, other: int, size: int
) -> None:
    chosen = diverse(items(values, most, other), size)
    assert chosen == sorted(set(chosen)) and len(chosen) <= size
    assert keeps([most, other], [values[place] for place in chosen])
    others = [place for place in range(len(values)) if place not in chosen]
    if len(chosen) < size:
        assert not any(keeps([most, other], [values[each] for each in (*chosen, place)]) for place in others)


@given(several | of_two, limits, limits, sizes)
def test_a_list_is_at_least_as_long_as_the_items_of_fewest_values_make_it(
    values: list[Values], most: int, other: int, size: int
) -> None:
    counted = items(values, most, other)
    assert len(diverse(counted, size)) >= len(sparing(counted, size))


@given(several | of_two, st.randoms(), limits, limits, sizes)
def test_a_list_is_at_least_as_long_as_in_the_order_in_which_its_items_were_recalled(
    values: list[Values], random: Random, most: int, other: int, size: int
) -> None:
    ranked = list(range(len(values)))
    random.shuffle(ranked)
    chosen = diverse(items([values[place] for place in ranked], most, other), size, np.array(ranked, dtype=np.int64))
    assert keeps([most, other], [values[ranked[place]] for place in chosen])
    assert len(chosen) >= len(sparing(items(values, most, other), size))


@given(several, sizes)
def test_a_list_that_is_full_when_taken_in_its_order_is_just_that(values: list[Values], size: int) -> None:
    greedy: list[int] = []
    for place in range(len(values)):
        if len(greedy) < size and keeps([2], [values[each] for each in (*greedy, place)]):
            greedy.append(place)
    if len(greedy) == size:
        assert diverse(items(values, 2), size) == greedy


def test_an_item_of_many_values_gives_way_where_it_would_keep_out_several() -> None:
    values: list[Values] = [((0, 0), (0, 1), (0, 2)), ((0, 0),), ((0, 1),), ((0, 2),)]
    assert diverse(items(values, 1), 1) == [0]
    assert diverse(items(values, 1), 3) == [1, 2, 3]
    longest = max(
        (
            chosen
            for size in range(5)
            for chosen in combinations(range(4), size)
            if keeps([1], [values[place] for place in chosen])
        ),
        key=len,
    )
    assert len(diverse(items(values, 1), 9)) == len(longest)
