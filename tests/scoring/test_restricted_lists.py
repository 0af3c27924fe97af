"""Lists under restrictions, in a shop: they keep to them, and are full whenever the catalogue allows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import fold
from features.columns import ItemTable
from features.schema import Floats
from scoring import (
    NO_ITEM,
    Candidates,
    ExactRecall,
    Lister,
    RankerInputs,
    Ranking,
    RecentCounters,
    Recommendations,
    Source,
    Users,
    UserState,
)
from scoring.diversity import Kinds, sparing
from scoring.fallback import popular
from scoring.restriction import NO_RESTRICTION, AllOf, AnyOf, AtMost, Between, Condition, Restriction
from scoring.run_ids import RunIds
from tests.shop import BRANDS, CART, PURCHASE, SCHEMA, VIEW, event, item, user

RNG = np.random.default_rng(5)
ITEMS = {
    f"item {place:02}": item(
        f"item {place:02}",
        "",
        tuple(sorted({int(code) for code in RNG.integers(0, 3, place % 3)})),
        brand=int(RNG.integers(-1, 6)),
        price=None if place % 7 == 0 else float(RNG.integers(1, 30)),
    )
    for place in range(40)
}
TABLE = ItemTable(SCHEMA, ITEMS)
COUNTERS = RecentCounters(
    n=RNG.integers(1, 90, len(TABLE)),
    likes=RNG.integers(0, 40, len(TABLE)),
    recent_likes=RNG.integers(0, 9, len(TABLE)),
    last_ts=RNG.integers(900_000_000, 909_000_000, len(TABLE)),
    half_life_days=30.0,
)
VECTORS = RNG.normal(size=(len(TABLE), 3)).astype(np.float32)
USERS = ("ann", "bob", "zoe")
IDS = RunIds.of(USERS[:2], ITEMS)


@dataclass(frozen=True)
class Limits:
    vector_k: int = 4
    term_k: int = 3


RECALL = ExactRecall(TABLE, VECTORS, np.linspace(0.2, 1.0, len(TABLE), dtype=np.float32), Limits())


def encode(users: Users) -> Floats:
    return np.stack([users.items[:, 0], users.liked.sum(axis=1), users.rating[:, 0]], axis=1).astype(np.float32) / 9


def rank(inputs: RankerInputs) -> Ranking:
    """Scores with ties, which follow from the number of the item."""
    score = (inputs.ids[:, 1] * 7 % 11).astype(np.float32)
    return Ranking(score, score, score)


LISTER = Lister(SCHEMA, TABLE, IDS, 5, Limits(), encode, RECALL, rank)
"""Its recall finds seven items, less than most lists hold."""

Failing = Literal["nothing", "recall", "encoder", "ranker"]


def without(part: Failing) -> Lister:
    """The path to lists while a server is away."""
    if part == "recall":
        return replace(LISTER, recall=lambda states, vectors: None)
    if part == "encoder":
        return replace(LISTER, encode=lambda users: None)
    return replace(LISTER, rank=lambda inputs: None) if part == "ranker" else LISTER


def state(userid: str, events: Sequence[tuple[str, int]], restriction: Restriction = NO_RESTRICTION) -> UserState:
    profile = SCHEMA.profile(userid)
    for number, (itemid, code) in enumerate(events):
        fold(SCHEMA.codes, profile, None, event(userid, itemid, code, 1000 + number), ITEMS)
    exclude = {itemid for itemid, code in events if code == PURCHASE}
    return replace(UserState.of(SCHEMA, profile, user(userid, 1), ITEMS, exclude), restriction=restriction)


conditions = st.sampled_from(
    [
        AnyOf("categories", ("garden",)),
        AnyOf("categories", ("garden", "toys")),
        AllOf("categories", ("garden", "kitchen")),
        AnyOf("brand", BRANDS[:2]),
        AnyOf("brand", ("brand 70",)),
        AnyOf("price", ("below 10",)),
        Between("price", 8.0, 25.0),
    ]
)
restrictions = st.builds(
    Restriction.of,
    st.just(SCHEMA),
    st.lists(conditions, max_size=2),
    st.dictionaries(st.sampled_from(["brand", "categories", "price"]), st.integers(1, 3), max_size=2).map(
        lambda most: [AtMost(name, items) for name, items in most.items()]
    ),
)
states = st.builds(
    state,
    st.sampled_from(USERS),
    st.lists(st.tuples(st.sampled_from(sorted(ITEMS)), st.sampled_from([VIEW, CART, PURCHASE])), max_size=5),
    restrictions,
)
failing = st.sampled_from(["nothing", "recall", "encoder", "ranker"])
sizes = st.integers(1, 12)


def itemids(made: Recommendations, row: int = 0) -> list[str]:
    return [str(TABLE.itemids[column]) for column, _ in made.lists.entries(row)]


def allowed(of: UserState) -> list[int]:
    """Columns of all items that a user's list may have."""
    mask = of.restriction.mask(TABLE)
    return [place for place, itemid in enumerate(TABLE.itemids) if mask[place] and itemid not in of.exclude]


def counted(name: str, columns: Sequence[int]) -> Counter[int | None]:
    """Items by value; None for those without."""
    place = [attribute.name for attribute in SCHEMA.terms].index(name)
    terms = [ITEMS[str(TABLE.itemids[column])].terms[place] for column in columns]
    return Counter(code for codes in terms for code in codes or (None,))


@settings(deadline=None, max_examples=150)
@given(st.lists(states, min_size=1, max_size=3), failing, sizes)
def test_lists_keep_to_the_restrictions_of_each_user_whatever_fails(
    batch: list[UserState], part: Failing, size: int
) -> None:
    made = without(part).recommend(batch, COUNTERS, size)
    for row, one in enumerate(batch):
        columns = [column for column, _ in made.lists.entries(row)]
        assert len(columns) <= size
        assert set(columns) <= set(allowed(one))
        for limit in one.restriction.at_most:
            counts = counted(limit.attribute, columns)
            assert all(count <= limit.items for code, count in counts.items() if code is not None)


@settings(deadline=None, max_examples=150)
@given(states, failing, sizes)
def test_lists_are_full_whenever_the_catalogue_allows_it(one: UserState, part: Failing, size: int) -> None:
    limits = one.restriction.at_most
    if not one.restriction or len(limits) > 1 or any(limit.attribute == "categories" for limit in limits):
        return
    longest = len(allowed(one))
    if limits:
        counts = counted(limits[0].attribute, allowed(one))
        longest = sum(count if code is None else min(count, limits[0].items) for code, count in counts.items())
    assert len(itemids(without(part).recommend([one], COUNTERS, size))) == min(size, longest)


@settings(deadline=None, max_examples=150)
@given(states, failing, sizes)
def test_lists_are_full_where_the_items_of_fewest_values_fill_them(one: UserState, part: Failing, size: int) -> None:
    made = without(part).recommend([one], COUNTERS, size)
    recalled = made.candidates.column[0][made.candidates.column[0] != NO_ITEM].tolist()
    others = [column for column in allowed(one) if column not in recalled]
    every = [*recalled, *sorted(others, key=lambda column: (-COUNTERS.popularity[column], column))]
    limits = one.restriction.at_most
    if one.restriction:
        assert len(itemids(made)) >= len(sparing(Kinds.of(limits, TABLE, np.array(every, dtype=np.int64)), size))


@settings(deadline=None)
@given(st.lists(states, min_size=2, max_size=4), failing, sizes)
def test_lists_of_a_batch_are_those_of_each_user_alone(batch: list[UserState], part: Failing, size: int) -> None:
    lister = without(part)
    together = lister.recommend(batch, COUNTERS, size)
    for row, one in enumerate(batch):
        assert together.lists.entries(row) == lister.recommend([one], COUNTERS, size).lists.entries(0)


KNOWN = state("ann", [("item 03", PURCHASE), ("item 11", VIEW), ("item 20", CART)])


def test_the_best_items_that_meet_the_conditions_come_back_in_their_order() -> None:
    condition = Between("price", 8.0, None)
    every = replace(LISTER, limits=Limits(40, 40), recall=replace(RECALL, limits=Limits(40, 40)))
    plain = itemids(every.recommend([KNOWN], COUNTERS, 40))
    restricted = replace(KNOWN, restriction=Restriction.of(SCHEMA, [condition]))
    wanted = [itemid for itemid in plain if isinstance(price := ITEMS[itemid].values[2], float) and price >= 8.0]
    assert 5 < len(wanted) < len(plain)
    assert itemids(every.recommend([restricted], COUNTERS, 40)) == wanted


def test_a_limit_leaves_the_best_items_of_each_value_in_their_order() -> None:
    every = replace(LISTER, limits=Limits(40, 40), recall=replace(RECALL, limits=Limits(40, 40)))
    plain = itemids(every.recommend([KNOWN], COUNTERS, 40))
    wanted, counts = [], Counter[tuple[int, ...]]()
    for itemid in plain:
        brand = ITEMS[itemid].terms[1]
        counts[brand] += 1
        if not brand or counts[brand] <= 2:
            wanted.append(itemid)
    limited = replace(KNOWN, restriction=Restriction.of(SCHEMA, at_most=[AtMost("brand", 2)]))
    for size in (3, 9, 40):
        made = every.recommend([limited], COUNTERS, size)
        assert itemids(made) == wanted[:size]
        assert made.ranking is not None
        for number, (column, score) in enumerate(made.lists.entries(0)):
            place = made.place[0, number]
            assert (made.candidates.column[0, place], made.ranking.score[place]) == (column, score)


def test_items_that_complete_a_list_are_the_most_popular_ones_and_are_ranked() -> None:
    restricted = replace(KNOWN, restriction=Restriction.of(SCHEMA, [AnyOf("price", ("below 10", "10 to 20"))]))
    made = LISTER.recommend([restricted], COUNTERS, 12)
    recalled = RECALL([restricted], encode(Users.of(SCHEMA, IDS, [restricted], 5))).column[0]
    others = [column for column in allowed(restricted) if column not in recalled]
    best = sorted(others, key=lambda column: (-COUNTERS.popularity[column], column))
    assert made.candidates.column[0].tolist() == [*recalled, *best[: 12 - len(recalled)]]
    assert made.pairs is not None and len(made.pairs) == 12
    assert made.candidates.sources == {}


@pytest.mark.parametrize("part", ["nothing", "recall"])
def test_items_that_complete_a_list_name_their_source_where_sources_are_told(part: Failing) -> None:
    def told(states: Sequence[UserState], vectors: Floats | None) -> Candidates:
        return Candidates(np.array([[3, 5]]), {Source.TERMS: np.array([[0.5, 0.25]])})

    lister = without(part) if part == "recall" else replace(LISTER, recall=told)
    made = lister.recommend(
        [replace(KNOWN, restriction=Restriction.of(SCHEMA, at_most=[AtMost("brand", 1)]))], COUNTERS, 8
    )
    terms, popularity = (made.candidates.sources[source][0] for source in (Source.TERMS, Source.POPULAR))
    told_one = ~np.isnan(terms) != ~np.isnan(popularity)
    assert told_one.all()
    if part == "nothing":
        assert terms[:2].tolist() == [0.5, 0.25]
        expected = COUNTERS.popularity[made.candidates.column[0, 2:]]
        assert len(expected) and popularity[2:].tolist() == expected.tolist()


def test_what_is_popular_can_be_asked_for_by_value() -> None:
    garden = Restriction.of(SCHEMA, [AnyOf("categories", ("garden",))])
    lists = popular([{"item 01"}, ()], COUNTERS.popularity, TABLE, 5, [garden, NO_RESTRICTION])
    for row, mask in enumerate([garden.mask(TABLE), np.ones(len(TABLE), dtype=bool)]):
        columns = [column for column in np.flatnonzero(mask).tolist() if row or TABLE.itemids[column] != "item 01"]
        best = sorted(columns, key=lambda column: (-COUNTERS.popularity[column], column))
        assert [column for column, _ in lists.entries(row)] == best[:5]


def test_a_condition_that_no_item_meets_gives_an_empty_list() -> None:
    nothing: list[Condition] = [AnyOf("brand", ("brand 70",))]
    for one in (KNOWN, state("zoe", [])):
        for part in ("nothing", "recall", "encoder", "ranker"):
            restricted = replace(one, restriction=Restriction.of(SCHEMA, nothing))
            assert itemids(without(part).recommend([restricted], COUNTERS, 5)) == []


def test_the_best_item_gives_way_where_it_would_keep_the_list_from_being_full() -> None:
    items = {
        name: item(name, "", (category,), brand) for name, category, brand in [("a", 0, 0), ("b", 1, 1), ("c", 1, 0)]
    }
    table, limits = ItemTable(SCHEMA, items), [AtMost("categories", 1), AtMost("brand", 1)]
    lister = replace(
        LISTER,
        table=table,
        recall=lambda states, vectors: Candidates(np.array([[0, 1, 2]])),
        rank=lambda inputs: Ranking(*[np.arange(len(inputs.row), dtype=np.float32)] * 3),
    )
    counters = replace(
        COUNTERS, **{name: getattr(COUNTERS, name)[:3] for name in ("n", "likes", "recent_likes", "last_ts")}
    )
    limited = replace(KNOWN, restriction=Restriction.of(SCHEMA, at_most=limits))

    def listed(size: int) -> list[int]:
        return [column for column, _ in lister.recommend([limited], counters, size).lists.entries(0)]

    assert [listed(size) for size in (1, 2, 3)] == [[2], [1, 0], [1, 0]]
