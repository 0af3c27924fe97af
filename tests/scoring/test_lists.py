"""From states to lists: each fallback, and B users at once as each of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import UNKNOWN_NUMBER, dense, fold, user_row
from features.columns import ItemTable, row_values, user_columns
from features.schema import Floats
from scoring import (
    NO_ITEM,
    Candidate,
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
    preferences,
)
from scoring.fallback import popular
from scoring.inputs import histories, no_events
from scoring.run_ids import RunIds
from tests.movielens import SCHEMA, item, rated, user

HISTORY = 6
ITEMS = {
    itemid: item(itemid, f"item {itemid}", 1950 + 7 * (itemid % 8), tuple(sorted({itemid % 5, itemid % 3 + 5})))
    for itemid in range(10, 50, 2)
}
TABLE = ItemTable(SCHEMA, ITEMS)
IDS = RunIds.of(range(1, 10), [itemid for itemid in ITEMS if itemid != 48])
"""Of the users and items that the models were trained with, which are not all."""

RNG = np.random.default_rng(7)
COUNTERS = RecentCounters(
    n=RNG.integers(1, 90, len(TABLE)),
    likes=RNG.integers(0, 40, len(TABLE)),
    recent_likes=RNG.integers(0, 9, len(TABLE)),
    last_ts=RNG.integers(900_000_000, 909_000_000, len(TABLE)),
    half_life_days=30.0,
)
VECTORS = RNG.normal(size=(len(TABLE), 4)).astype(np.float32)
PRIOR = RNG.uniform(0.1, 1.1, len(TABLE)).astype(np.float32)


@dataclass(frozen=True)
class Limits:
    vector_k: int = 5
    term_k: int = 4


RECALL = ExactRecall(TABLE, VECTORS, PRIOR, Limits())


def encode(users: Users) -> Floats:
    """A vector that follows from the history row by row, so that it does not depend on the rest of the batch."""
    return np.stack(
        [
            np.array([items[0] - 10, items.sum() % 11 - 5, liked.sum() - 2, rating.max()], dtype=np.float32) / 8
            for items, liked, rating in zip(users.items, users.liked, users.rating, strict=True)
        ]
    )


def rank(inputs: RankerInputs) -> Ranking:
    """Scores with ties, which follow from all that the ranker is given."""
    score = (inputs.ids.sum(axis=1) + inputs.items[inputs.row, 0] + np.round(inputs.dense.sum(axis=1))) % 7
    return Ranking(score.astype(np.float32), inputs.dense[:, 0], inputs.user_vector[inputs.row, 0])


LISTER = Lister(SCHEMA, TABLE, IDS, HISTORY, Limits(), encode, RECALL, rank)


def state(userid: int, ratings: Sequence[tuple[int, int]], exclude: Sequence[int] = ()) -> UserState:
    profile = SCHEMA.profile(userid)
    for number, (itemid, rating) in enumerate(ratings):
        fold(SCHEMA.codes, profile, None, rated(userid, itemid, rating, 1000 + number), ITEMS)
    excluded = {*exclude, *(itemid for itemid, _ in ratings)}
    return UserState.of(SCHEMA, profile, user(userid, 1, 2, 3), ITEMS, excluded)


KNOWN = state(3, [(10, 5), (12, 2), (20, 4)], exclude=[14])
NEW = state(4, [], exclude=[16])

states = st.builds(
    state,
    st.integers(1, 9),
    st.lists(
        st.tuples(st.sampled_from(sorted(ITEMS)), st.integers(1, 5)), max_size=9, unique_by=lambda entry: entry[0]
    ),
    st.lists(st.integers(1, 60), max_size=20),
)


def itemids(made: Recommendations, row: int = 0) -> list[int]:
    return ids_at([column for column, _ in made.lists.entries(row)])


def ids_at(columns: Iterable[int]) -> list[int]:
    return [int(TABLE.itemids[column]) for column in columns]


def columns_of(*ids: int) -> list[int]:
    return TABLE.column(ids).tolist()


@settings(deadline=None)
@given(st.lists(states, min_size=1, max_size=5))
def test_lists_of_a_batch_are_those_of_each_user_alone(batch: list[UserState]) -> None:
    together = LISTER.recommend(batch, COUNTERS, 9)
    for row, one in enumerate(batch):
        assert together.lists.entries(row) == LISTER.recommend([one], COUNTERS, 9).lists.entries(0)
        assert not set(itemids(together, row)) & set(one.exclude)


@settings(deadline=None)
@given(st.lists(states, min_size=1, max_size=4))
def test_without_the_ranker_a_batch_is_in_recalls_order_as_each_user_alone(batch: list[UserState]) -> None:
    lister = replace(LISTER, rank=lambda inputs: None)
    together = lister.recommend(batch, COUNTERS, 9)
    for row, one in enumerate(batch):
        assert together.lists.entries(row) == lister.recommend([one], COUNTERS, 9).lists.entries(0)


@settings(deadline=None)
@given(st.lists(states, min_size=2, max_size=4))
def test_counters_of_each_moment_are_taken_row_by_row(batch: list[UserState]) -> None:
    moments = [replace(COUNTERS, n=COUNTERS.n + row, last_ts=COUNTERS.last_ts[::-1] + row) for row in range(len(batch))]
    together = LISTER.recommend(batch, RecentCounters.stack(moments), 9)
    for row, (one, counters) in enumerate(zip(batch, moments, strict=True)):
        assert together.lists.entries(row) == LISTER.recommend([one], counters, 9).lists.entries(0)


def test_the_ranker_gets_the_features_of_each_pair() -> None:
    given: list[RankerInputs] = []

    def told(inputs: RankerInputs) -> Ranking:
        given.append(inputs)
        return rank(inputs)

    replace(LISTER, rank=told).recommend([KNOWN, state(5, [(30, 3)])], COUNTERS, 9)
    (inputs,) = given
    first = inputs.row == 0
    assert inputs.items[0].tolist() == [1, 2, 6, 0, 0, 0]
    assert inputs.rating[0].tolist() == [5, 2, 4, 0, 0, 0]
    assert SCHEMA.ids == ("userid", "itemid", "gender", "age", "occupation")
    assert (inputs.ids[first][:, [0, 2, 3, 4]] == [3, 1, 2, 3]).all()
    column = np.flatnonzero(np.isin(IDS.columns(TABLE), inputs.ids[first, 1]))
    assert sorted(inputs.ids[first, 1]) == sorted(IDS.items.numbers(ids_at(column)))
    users = user_columns(SCHEMA, np.array([KNOWN.features]))
    expected = dense(SCHEMA, users, TABLE.at(column, COUNTERS.n[column], COUNTERS.likes[column]))
    in_order = inputs.dense[first][inputs.ids[first, 1].argsort()]
    assert in_order.tolist() == expected.tolist()
    assert inputs.dense.shape == (len(inputs.row), len(SCHEMA.dense_columns))


def test_ids_that_a_run_does_not_know_are_its_unknown_and_count_in_the_facts() -> None:
    users = Users.of(SCHEMA, IDS, [state(3, [(48, 5), (10, 4)]), state(77, [])], HISTORY)
    assert users.userid.tolist() == [3, UNKNOWN_NUMBER]
    assert users.items[0].tolist() == [UNKNOWN_NUMBER, 1, 0, 0, 0, 0]
    assert users.columns["n"].tolist() == [2, 0]


def test_users_without_events_get_what_is_popular_and_ask_no_model() -> None:
    def fail(*_: object) -> None:
        raise AssertionError("asked")

    lister = replace(LISTER, encode=fail, recall=fail, rank=fail)
    made = lister.recommend([NEW], COUNTERS, 4)
    best = sorted(set(ITEMS) - {16}, key=lambda itemid: (-COUNTERS.popularity[columns_of(itemid)[0]], itemid))
    assert itemids(made) == best[:4]
    assert made.pairs is None and made.ranking is None
    assert made.lists.entries(0) == popular([NEW.exclude], COUNTERS.popularity, TABLE, 4).entries(0)


def test_the_features_of_a_user_without_events_are_those_of_an_empty_profile() -> None:
    row = user_row(SCHEMA, SCHEMA.profile(4), user(4), {})
    assert no_events(SCHEMA) == row_values(SCHEMA, row) == list(NEW.features)
    alone, empty = (Users.of(SCHEMA, IDS, [each], 5).columns for each in (UserState(user(4)), NEW))
    assert {name: column.tolist() for name, column in alone.items()} == {
        name: column.tolist() for name, column in empty.items()
    }


def test_without_the_ranker_the_list_is_in_recalls_order() -> None:
    made = replace(LISTER, rank=lambda inputs: None).recommend([KNOWN], COUNTERS, 50)
    recalled = RECALL([KNOWN], encode(Users.of(SCHEMA, IDS, [KNOWN], HISTORY))).column[0]
    assert itemids(made) == ids_at(recalled)
    scores = [score for _, score in made.lists.entries(0)]
    assert (scores[0], scores[-1]) == (0.0, -1.0)
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("nothing", [None, Candidates.of([[]], TABLE), Candidates.of([[Candidate(11, {})]], TABLE)])
def test_where_recall_finds_nothing_terms_and_popularity_recall_from_memory(nothing: Candidates | None) -> None:
    made = replace(LISTER, recall=lambda states, vectors: nothing).recommend([KNOWN], COUNTERS, 50)
    third = (LISTER.limits.vector_k + LISTER.limits.term_k) // 3
    wanted = preferences(SCHEMA, KNOWN.weights)
    matching = {
        itemid: (
            sum(
                wanted[term.name].get(code, 0.0)
                for term, codes in zip(SCHEMA.terms, known.terms, strict=True)
                for code in codes
            )
            * COUNTERS.popularity[columns_of(itemid)[0]]
        )
        for itemid, known in ITEMS.items()
        if itemid not in KNOWN.exclude
    }
    by_terms = sorted(matching, key=lambda itemid: (-matching[itemid], itemid))[:third]
    terms, popularity = (made.candidates.sources[source][0] for source in (Source.TERMS, Source.POPULAR))
    recalled = ids_at(made.candidates.column[0])
    assert recalled[:third] == by_terms
    assert terms[:third] == pytest.approx([matching[itemid] for itemid in by_terms])
    assert np.isnan(terms[third:]).all() and np.isnan(popularity[:third]).all()
    others = popular([{*KNOWN.exclude, *by_terms}], COUNTERS.popularity, TABLE, 2 * third)
    assert recalled[third:] == ids_at(others.column[0])
    assert sorted(itemids(made)) == sorted(recalled)
    assert made.ranking is not None


def test_without_the_encoder_the_list_is_the_best_matches_of_the_terms() -> None:
    made = replace(LISTER, encode=lambda users: None).recommend([KNOWN], COUNTERS, 50)
    _, terms = RECALL.scores([KNOWN], np.zeros((1, 4), dtype=np.float32))
    matching = np.flatnonzero(terms[0] > 0)
    expected = matching[np.lexsort((matching, -terms[0][matching]))][:9]
    assert itemids(made) == ids_at(expected)
    assert made.ranking is None and made.pairs is not None


def test_candidates_that_elasticsearch_finds_keep_their_order_and_sources_user_by_user() -> None:
    vector, terms = Candidate(12, {"vector": 2.0, "terms": 0.5}), Candidate(10, {"terms": 0.25})
    candidates = Candidates.of([[vector, Candidate(11, {"terms": 1.0}), terms], [terms]], TABLE)
    assert candidates.column.tolist() == [[1, 0], [0, NO_ITEM]]
    assert candidates.length.tolist() == [2, 1]
    np.testing.assert_array_equal(candidates.sources[Source.VECTOR], [[2.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(candidates.sources[Source.TERMS], [[0.5, 0.25], [0.25, np.nan]])
    assert Candidates.of([[Candidate(10, {})]], TABLE).sources == {}


def test_a_user_who_may_get_nothing_gets_an_empty_list() -> None:
    everything = replace(KNOWN, exclude=set(ITEMS))
    assert itemids(LISTER.recommend([everything], COUNTERS, 9)) == []
    both = LISTER.recommend([everything, KNOWN], COUNTERS, 9)
    assert [itemids(both, 0), itemids(both, 1)] == [[], itemids(LISTER.recommend([KNOWN], COUNTERS, 9))]


def test_each_entry_knows_its_place_among_the_candidates() -> None:
    made = LISTER.recommend([KNOWN], COUNTERS, 5)
    assert made.ranking is not None
    for number, (column, score) in enumerate(made.lists.entries(0)):
        place = made.place[0, number]
        assert (made.candidates.column[0, place], made.ranking.score[place]) == (column, score)


def test_candidates_are_merged_as_elasticsearch_adds_its_scores() -> None:
    terms_alone = ExactRecall(TABLE, VECTORS, PRIOR, Limits(vector_k=1, term_k=3))
    column = terms_alone([KNOWN], encode(Users.of(SCHEMA, IDS, [KNOWN], HISTORY))).column[0]
    products, terms = terms_alone.scores([KNOWN], encode(Users.of(SCHEMA, IDS, [KNOWN], HISTORY)))
    assert column[0] == products[0].argmax()
    rest = terms[0].copy()
    rest[column[0]] = 0.0
    assert column[1:].tolist() == np.lexsort((np.arange(len(rest)), -rest))[:3].tolist()


def test_a_history_is_the_last_events_oldest_first() -> None:
    recent = [(ts, 10 + 2 * ts, 1 + ts % 5) for ts in range(7)]
    items, rating = histories(IDS.items, [recent, recent[:2]], 5)
    assert items.tolist() == [[3, 4, 5, 6, 7], [1, 2, 0, 0, 0]]
    assert rating.tolist() == [[3, 4, 5, 1, 2], [1, 2, 0, 0, 0]]
    assert Users.of(SCHEMA, IDS, [UserState(user(1), recent)], 5).liked.tolist() == [[0, 1, 1, 0, 0]]
