"""Exploration: positions of a list that go to items with few events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import ItemTable
from features.schema import Floats
from scoring import ExactRecall, Exploration, Lister, RankerInputs, Ranking, RecentCounters, Source, Users, UserState
from scoring.counters import FEW
from scoring.explored import arranged, explored
from scoring.order import NO_ITEM, Lists
from scoring.restriction import AnyOf, AtMost, Restriction
from scoring.run_ids import RunIds
from tests import shop
from tests.shop import PURCHASE, SCHEMA, VIEW

ITEMS = {
    item.itemid: item
    for item in (
        shop.item(
            f"i{number:02}",
            categories=tuple(sorted({number % 3, number % 5 % 3})),
            brand=number % 7,
            price=float(number),
        )
        for number in range(60)
    )
}
TABLE = ItemTable(SCHEMA, ITEMS)
RNG = np.random.default_rng(3)
N = np.where(np.arange(60) % 4 == 0, np.arange(60) % FEW, 100 + np.arange(60))
"""Every fourth item has few events."""
COUNTERS = RecentCounters(N, N // 2, N // 4, np.full(60, 1_000_000), half_life_days=30.0)
VECTORS = RNG.normal(size=(60, 4)).astype(np.float32)


class Limits:
    vector_k, term_k = 20, 10


def encode(users: Users) -> Floats:
    return np.stack([np.array([*items[:3], 1], dtype=np.float32) for items in users.items])


def rank(inputs: RankerInputs) -> Ranking:
    score = (inputs.ids[:, 1] % 17).astype(np.float32)
    return Ranking(score, score, score)


LISTER = Lister(
    SCHEMA,
    TABLE,
    RunIds.of(["u"], ITEMS),
    5,
    Limits(),
    encode,
    ExactRecall(TABLE, VECTORS, np.ones(60, dtype=np.float32), Limits()),
    rank,
)


def user(exploration: Exploration | None = None, *, new: bool = False, exclude: Sequence[str] = ()) -> UserState:
    recent = () if new else ((100, "i01", VIEW), (200, "i02", PURCHASE))
    return UserState(shop.user("u"), recent, exclude=exclude, exploration=exploration)


def listed(state: UserState, size: int = 20) -> list[str]:
    made = LISTER.recommend([state], COUNTERS, size)
    return [str(TABLE.itemids[column]) for column, _ in made.lists.entries(0)]


def few(itemids: Sequence[str]) -> list[int]:
    """The positions of the items with few events."""
    return [place for place, itemid in enumerate(itemids) if N[TABLE.itemids.index(itemid)] < FEW]


shares = st.floats(0.01, 0.5)
seeds = st.integers(0, 2**64 - 1)


@settings(max_examples=60, deadline=None)
@given(shares, seeds, st.integers(1, 60), st.booleans())
def test_a_list_keeps_its_length_its_first_item_and_the_order_of_the_others(
    share: float, seed: int, size: int, new: bool
) -> None:
    exploration = Exploration(share, seed)
    plain, exploring = listed(user(new=new), size=60), listed(user(exploration, new=new), size)
    columns = explored([user(exploration, new=new)], COUNTERS, TABLE, size)[0]
    chosen = {str(TABLE.itemids[column]) for column in columns.tolist()}
    assert len(chosen) == min(exploration.number(size), int(np.count_nonzero(N < FEW)))
    assert len(exploring) == len({*exploring}) == min(size, len(plain) + len(chosen - {*plain}))
    assert chosen <= {*exploring}
    assert exploring[0] not in chosen
    others = [itemid for itemid in exploring if itemid not in chosen]
    assert others == [itemid for itemid in plain if itemid not in chosen][: len(others)]


@settings(max_examples=30, deadline=None)
@given(shares, seeds)
def test_the_same_seed_gives_the_same_list_and_scores_fall(share: float, seed: int) -> None:
    state = user(Exploration(share, seed))
    one, other = (LISTER.recommend([state], COUNTERS, 20) for _ in range(2))
    assert one.lists.entries(0) == other.lists.entries(0)
    scores = [score for _, score in one.lists.entries(0)]
    assert scores == sorted(scores, reverse=True)


def test_another_offset_or_user_explores_other_items() -> None:
    lists = [listed(user(Exploration.of(0.2, userid, offset))) for userid in ("u", "v") for offset in range(10)]
    assert len({*map(tuple, lists)}) > 15
    shown = {itemid for each in lists for itemid in each}
    assert len(few(sorted(shown))) > 12, "in time, every item with few events is shown"


def test_the_share_is_kept_on_average_in_lists_that_are_too_short_for_it() -> None:
    numbers = [Exploration.of(0.1, seed).number(4) for seed in range(2000)]
    assert {*numbers} == {0, 1}
    assert np.mean(numbers) == pytest.approx(0.4, abs=0.04)
    assert {Exploration.of(0.5, seed).number(1) for seed in range(50)} == {0}


def test_positions_are_spread_over_the_list_and_never_the_first() -> None:
    seen = np.zeros(10)
    for seed in range(2000):
        positions = Exploration.of(0.2, seed).positions(10, 2)
        assert len({*positions.tolist()}) == 2
        seen[positions] += 1
    assert seen[0] == 0
    assert seen[1:] == pytest.approx(np.full(9, 4000 / 9), rel=0.25)


def test_without_exploration_a_list_is_as_before() -> None:
    assert explored([user()], COUNTERS, TABLE, 20).shape == (1, 0)
    together = LISTER.recommend([user(), user(Exploration(0.3, 5))], COUNTERS, 20).lists
    alone = LISTER.recommend([user()], COUNTERS, 20).lists
    assert together.entries(0) == alone.entries(0)


def test_what_is_hidden_or_does_not_meet_the_conditions_is_not_explored() -> None:
    hidden = [itemid for number, itemid in enumerate(ITEMS) if N[number] < FEW][:10]
    conditions = Restriction((AnyOf("categories", ("garden",)),))
    for seed in range(20):
        state = replace(user(Exploration(0.5, seed), exclude=hidden), restriction=conditions)
        shown = listed(state)
        assert not {*hidden} & {*shown}
        assert all(0 in ITEMS[itemid].terms[0] for itemid in shown)
        assert few(shown)


@settings(max_examples=40, deadline=None)
@given(shares, seeds, st.integers(1, 4), st.sampled_from(["brand", "categories"]))
def test_lists_that_explore_keep_to_limits_and_are_no_shorter(share: float, seed: int, most: int, name: str) -> None:
    state = replace(user(Exploration(share, seed)), restriction=Restriction(at_most=(AtMost(name, most),)))
    shown = listed(state, 14)
    place = [term.name for term in SCHEMA.terms].index(name)
    values = [value for itemid in shown for value in ITEMS[itemid].terms[place]]
    assert max(map(values.count, values)) <= most
    assert len(shown) == len(listed(replace(state, exploration=None), 14))


def test_an_explored_item_is_ranked_and_tells_its_source_with_its_number_of_events() -> None:
    made = LISTER.recommend([user(Exploration(0.3, 9))], COUNTERS, 20)
    assert made.pairs is not None and made.ranking is not None
    columns = {*explored([user(Exploration(0.3, 9))], COUNTERS, TABLE, 20)[0].tolist()}
    assert len(made.pairs) == made.candidates.length[0]
    for place, (column, _) in enumerate(made.lists.entries(0)):
        number = int(made.place[0, place])
        assert made.candidates.column[0, number] == column
        n = made.candidates.sources[Source.EXPLORATION][0, number]
        assert n == N[column] if column in columns else np.isnan(n)


def test_counters_of_several_moments_tell_which_items_have_few_events() -> None:
    later = replace(COUNTERS, **{name: np.stack([getattr(COUNTERS, name)] * 2) for name in ("n", "likes")})
    later.n[1] = 500
    states = [user(Exploration(0.5, 1)), user(Exploration(0.5, 1))]
    columns = explored(states, later, TABLE, 10)
    assert (columns[0] != NO_ITEM).all() and (columns[1] == NO_ITEM).all()


def test_explored_items_need_not_be_in_the_list_before() -> None:
    lists = Lists(np.array([[5, 6, 7, 9]]), np.array([[4.0, 3.0, 2.0, 1.0]]))
    state = user(Exploration(0.4, 2))
    made, _ = arranged(lists, np.array([[8]]), [state], TABLE, 4)
    columns = [column for column, _ in made.entries(0)]
    assert sorted(columns) == [5, 6, 7, 8] and columns[0] == 5
    assert [column for column in columns if column != 8] == [5, 6, 7]
    assert dict(made.entries(0))[8] == dict(made.entries(0))[columns[columns.index(8) - 1]]


def test_a_list_of_nothing_but_explored_items_stays_as_it_is() -> None:
    lists = Lists(np.array([[4, 8]]), np.array([[2.0, 1.0]]))
    made, place = arranged(lists, np.array([[8, 4]]), [user(Exploration(0.5, 2))], TABLE, 2)
    assert made.entries(0) == lists.entries(0) and place.tolist() == [[0, 1]]
