"""The declared features: the same bits as before they were declared in a table, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import (
    DENSE_COLUMNS,
    ITEM_FEATURES,
    USER_FEATURES,
    Event,
    Item,
    ItemCounter,
    Profile,
    User,
    dense,
    fold,
    multi_hot,
    user_row,
)
from features.columns import Before, ItemTable
from features.declarations import TABLE
from features.feature import Counts, DeclarationError, FeatureTable, Values
from features.profile import RECENT
from features.windows import Window
from tests.features import frozen

genres = st.lists(st.integers(0, 17), max_size=5, unique=True).map(sorted).map(tuple)
items = st.builds(Item, st.just(0), st.just(""), st.integers(1880, 2040), genres)
catalogues = st.lists(items, min_size=1, max_size=12).map(
    lambda made: {itemid: Item(itemid, "", item.year, item.genres) for itemid, item in enumerate(made, start=1)}
)


@st.composite
def moments(draw: st.DrawFn) -> tuple[dict[int, Item], list[Profile], list[int], list[ItemCounter]]:
    """A catalogue, and N profiles each with an item and the item's counters."""
    catalogue = draw(catalogues)
    profiles, itemids, counters = [], [], []
    for userid in range(1, draw(st.integers(1, 4)) + 1):
        profile, seen = Profile(userid), dict[int, tuple[int, int]]()
        for itemid, rating, ts in draw(
            st.lists(
                st.tuples(st.sampled_from(sorted(catalogue)), st.integers(1, 5), st.integers(0, 2**32 - 1)), max_size=80
            )
        ):
            if fold(profile, seen.get(itemid), Event(userid, itemid, rating, ts), catalogue[itemid]):
                seen[itemid] = (ts, rating)
        # Profiles that are longer than any of a dozen items makes.
        extra = draw(st.lists(st.tuples(st.sampled_from(sorted(catalogue)), st.integers(1, 5)), max_size=RECENT))
        profile.recent = (profile.recent + [(2**32, itemid, rating) for itemid, rating in extra])[-RECENT:]
        n = draw(st.integers(0, 10**6))
        profiles.append(profile)
        itemids.append(draw(st.sampled_from(sorted(catalogue))))
        counters.append(ItemCounter(n=n, likes=draw(st.integers(0, n))))
    return catalogue, profiles, itemids, counters


def test_names_and_order_of_the_columns_are_as_they_were() -> None:
    for declared, before in (
        (DENSE_COLUMNS, frozen.COLUMNS),
        (USER_FEATURES, frozen.USER_ROW),
        (ITEM_FEATURES, frozen.ITEM_ROW),
    ):
        assert tuple(name for name in declared if name in before) == before


@given(moments())
def test_the_dense_input_has_the_same_bits_as_the_frozen_formulas(
    drawn: tuple[dict[int, Item], list[Profile], list[int], list[ItemCounter]],
) -> None:
    catalogue, profiles, itemids, counters = drawn
    table = ItemTable(catalogue)
    before = Before(table)
    for profile in profiles:
        before.take(profile)
    n = np.array([counter.n for counter in counters], dtype=np.int64)
    likes = np.array([counter.likes for counter in counters], dtype=np.int64)
    found = dense(before.columns(), table.columns(np.array(itemids, dtype=np.int64), n, likes))
    rows = [frozen.user_row(profile, catalogue) for profile in profiles]
    chosen = [catalogue[itemid] for itemid in itemids]
    item = {
        "n": n,
        "likes": likes,
        "year": np.array([each.year for each in chosen], dtype=np.int64),
        "genres": multi_hot([each.genres for each in chosen]),
    }
    user = {name: np.array([row[name] for row in rows], dtype=np.int64) for name in rows[0]}
    compared = found[:, [DENSE_COLUMNS.index(name) for name in frozen.COLUMNS]]
    assert compared.tobytes() == frozen.dense(user, item).tobytes()


@given(moments())
def test_a_feature_row_is_that_of_the_frozen_code_and_does_not_follow_the_profile(
    drawn: tuple[dict[int, Item], list[Profile], list[int], list[ItemCounter]],
) -> None:
    catalogue, profiles, _, _ = drawn
    for profile in profiles:
        row = user_row(profile, User(profile.userid, 1, 2, 3), catalogue)
        expected = {"gender": 1, "age": 2, "occupation": 3} | frozen.user_row(profile, catalogue)
        assert {name: row[name] for name in frozen.USER_ROW} == expected
        fold(profile, None, Event(profile.userid, 1, 5, 2**32 - 1), catalogue[1])
        assert {name: row[name] for name in frozen.USER_ROW} == expected


def test_every_column_has_a_description_of_its_own() -> None:
    described = {column: TABLE.description(column) for column in DENSE_COLUMNS}
    assert len(set(described.values())) == len(DENSE_COLUMNS)
    assert described["genre:Film-Noir"] == "1 where the item is of the genre Film-Noir, else 0."


def test_a_formula_over_a_count_that_is_not_declared_is_refused() -> None:
    def user_hours(user_hours: Counts) -> Values:
        """Hours that the user has watched."""
        return user_hours.astype(np.float64)

    with pytest.raises(DeclarationError, match=r"user_hours uses user_hours, which no formula may use; .*user_n, "):
        FeatureTable().feature(unit="hours")(user_hours)


@pytest.mark.parametrize("name", ["user_version", "item_recent_n", "item_last_ts", "user_gender"])
def test_a_formula_may_not_use_what_is_not_kept_before_each_event(name: str) -> None:
    formula = eval(f"lambda {name}: {name}")
    formula.__doc__ = "What is not kept."
    with pytest.raises(DeclarationError, match=f"uses {name}"):
        FeatureTable().feature(unit="")(formula)


def test_two_features_of_one_name_are_refused() -> None:
    table = FeatureTable()

    def user_items(user_n: Counts) -> Values:
        """Items that the user has rated."""
        return user_n.astype(np.float64)

    table.feature(unit="items")(user_items)
    with pytest.raises(DeclarationError, match="two features of the name user_items"):
        table.feature(unit="items")(user_items)


@pytest.mark.parametrize("text", [None, "Items that the user has rated", "One.\n\nTwo."])
def test_a_feature_without_a_description_of_one_sentence_is_refused(text: str | None) -> None:
    def user_items(user_n: Counts) -> Values:
        return user_n.astype(np.float64)

    user_items.__doc__ = text
    with pytest.raises(DeclarationError, match="user_items must be one sentence"):
        FeatureTable().feature(unit="items")(user_items)


@pytest.mark.parametrize("events", [0, RECENT + 1])
def test_a_window_that_the_profile_does_not_hold_is_refused(events: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {RECENT} events"):
        Window(events)
