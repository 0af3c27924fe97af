"""The declared features: the same bits as before they were declared in a table, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Item, ItemCounter, Profile, Rated, dense, fold, multi_hot, user_row
from features.columns import Before, ItemTable
from features.feature import Counts, DeclarationError, Declarations, Values
from features.profile import RECENT
from features.windows import Window
from tests.features import frozen
from tests.movielens import SCHEMA, item, rated, user

genres = st.lists(st.integers(0, 17), max_size=5, unique=True).map(sorted).map(tuple)
catalogues = st.lists(st.tuples(st.integers(1880, 2040), genres), min_size=1, max_size=12).map(
    lambda drawn: {itemid: item(itemid, "", year, of_item) for itemid, (year, of_item) in enumerate(drawn, start=1)}
)


@st.composite
def moments(draw: st.DrawFn) -> tuple[dict[int, Item], list[Profile], list[int], list[ItemCounter]]:
    """A catalogue, and N profiles each with an item and the item's counters."""
    catalogue = draw(catalogues)
    profiles, itemids, counters = [], [], []
    for userid in range(1, draw(st.integers(1, 4)) + 1):
        profile, seen = SCHEMA.profile(userid), dict[int, Rated]()
        for itemid, rating, ts in draw(
            st.lists(
                st.tuples(st.sampled_from(sorted(catalogue)), st.integers(1, 5), st.integers(0, 2**32 - 1)), max_size=80
            )
        ):
            event = rated(userid, itemid, rating, ts)
            if fold(SCHEMA.codes, profile, seen.get(itemid), event, catalogue):
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
        (SCHEMA.dense_columns, frozen.COLUMNS),
        ([field.name for field in SCHEMA.user_fields], frozen.USER_ROW),
        ([field.name for field in SCHEMA.item_fields], frozen.ITEM_ROW),
    ):
        assert tuple(name for name in declared if name in before) == before


@given(moments())
def test_the_dense_input_has_the_same_bits_as_the_frozen_formulas(
    drawn: tuple[dict[int, Item], list[Profile], list[int], list[ItemCounter]],
) -> None:
    catalogue, profiles, itemids, counters = drawn
    table = ItemTable(SCHEMA, catalogue)
    before = Before(table)
    for profile in profiles:
        before.take(profile)
    n = np.array([counter.n for counter in counters], dtype=np.int64)
    likes = np.array([counter.likes for counter in counters], dtype=np.int64)
    found = dense(SCHEMA, before.columns(), table.at(table.column(itemids), n, likes))
    rows = [frozen.user_row(profile, catalogue) for profile in profiles]
    chosen = [catalogue[itemid] for itemid in itemids]
    of_items = {
        "n": n,
        "likes": likes,
        "year": np.array([each.values[0] for each in chosen], dtype=np.int64),
        "genres": multi_hot([each.values[1] for each in chosen], 18),
    }
    of_users = {name: np.array([row[name] for row in rows], dtype=np.int64) for name in rows[0]}
    compared = found[:, [SCHEMA.dense_columns.index(name) for name in frozen.COLUMNS]]
    assert compared.tobytes() == frozen.dense(of_users, of_items).tobytes()


@given(moments())
def test_a_feature_row_is_that_of_the_frozen_code_and_does_not_follow_the_profile(
    drawn: tuple[dict[int, Item], list[Profile], list[int], list[ItemCounter]],
) -> None:
    catalogue, profiles, _, _ = drawn
    for profile in profiles:
        row = user_row(SCHEMA, profile, user(profile.userid, 1, 2, 3), catalogue)
        expected = {"gender": 1, "age": 2, "occupation": 3} | frozen.user_row(profile, catalogue)
        assert {name: row[name] for name in frozen.USER_ROW} == expected
        fold(SCHEMA.codes, profile, None, rated(profile.userid, 1, 5, 2**32 - 1), catalogue)
        assert {name: row[name] for name in frozen.USER_ROW} == expected


def test_every_column_has_a_description_of_its_own() -> None:
    described = {column: SCHEMA.table.description(column) for column in SCHEMA.dense_columns}
    assert len(set(described.values())) == len(SCHEMA.dense_columns)
    assert described["genre:Film-Noir"] == "1 where the item is of the genre Film-Noir, else 0."


def declared(formula: object, unit: str = "") -> None:
    declarations = Declarations()
    declarations.feature(unit=unit)(formula)
    declarations.table(SCHEMA.item_attributes, SCHEMA.inputs, SCHEMA.positive_share)


def test_a_formula_over_a_count_that_is_not_declared_is_refused() -> None:
    def user_hours(user_hours: Counts) -> Values:
        """Hours that the user has watched."""
        return user_hours.astype(np.float64)

    with pytest.raises(DeclarationError, match=r"user_hours uses user_hours, which no formula may use; .*user_n, "):
        declared(user_hours)


@pytest.mark.parametrize("name", ["user_version", "item_recent_n", "item_last_ts", "user_gender"])
def test_a_formula_may_not_use_what_is_not_kept_before_each_event(name: str) -> None:
    formula = eval(f"lambda {name}: {name}")
    formula.__doc__ = "What is not kept."
    with pytest.raises(DeclarationError, match=f"uses {name}"):
        declared(formula)


def test_a_constant_that_there_is_not_is_refused() -> None:
    def user_items(user_n: Counts, *, center: float) -> Values:
        """Events of the user."""
        return user_n - center

    with pytest.raises(DeclarationError, match="uses the constant center; there are share, center and scale"):
        declared(user_items)


def test_two_features_of_one_name_are_refused() -> None:
    declarations = Declarations()

    def user_items(user_n: Counts) -> Values:
        """Items that the user has rated."""
        return user_n.astype(np.float64)

    declarations.feature(unit="items")(user_items)
    with pytest.raises(DeclarationError, match="two features of the name user_items"):
        declarations.feature(unit="items")(user_items)


@pytest.mark.parametrize("text", [None, "Items that the user has rated", "One.\n\nTwo."])
def test_a_feature_without_a_description_of_one_sentence_is_refused(text: str | None) -> None:
    def user_items(user_n: Counts) -> Values:
        return user_n.astype(np.float64)

    user_items.__doc__ = text
    with pytest.raises(DeclarationError, match="user_items must be one sentence"):
        declared(user_items)


@pytest.mark.parametrize("events", [0, RECENT + 1])
def test_a_window_that_the_profile_does_not_hold_is_refused(events: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {RECENT} events"):
        Window(events)
