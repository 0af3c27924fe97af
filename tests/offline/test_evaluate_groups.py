"""The ablation of recall's sources for users and items with few events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offline.data.history import State, replay
from offline.data.split import online_events, time_order
from offline.evaluate import groups
from offline.evaluate.evaluation import Evaluation, Source, measure
from offline.evaluate.groups import CUT_USERS, FEW_EVENTS, ITEMS, USERS, cut
from offline.evaluate.state import Items, shortened
from scoring import MISSED, UserState
from settings import Settings

LAST = 12
"""Users whose offline events are left out but for a few."""

VECTOR_K, TERM_K = 20, 10


def quiet(stage: str, done: int, total: int) -> None:
    """No progress."""


def opened(settings: Settings, run: Path) -> Source:
    """A run, of whose candidates some items are left out."""
    recall = settings.recall.model_copy(update={"vector_k": VECTOR_K, "term_k": TERM_K})
    return Source.open(settings.model_copy(update={"recall": recall}), run.name)


@pytest.fixture(scope="module")
def shop_source(shop: Settings, shop_run: Path) -> Source:
    return opened(shop, shop_run)


@pytest.fixture(scope="module")
def short_source(shop_source: Source) -> Source:
    """The same run, measured on data of which the last users have 0 to 3 offline events."""
    ratings, parts = shop_source.ratings, shop_source.parts
    kept = np.ones(len(ratings), dtype=bool)
    for number in range(LAST):
        user = ratings.users.size - 1 - number
        mine = time_order(ratings, parts.offline[ratings.user[parts.offline] == user])
        kept[mine[number % (FEW_EVENTS + 1) :]] = False
    short = {name: getattr(parts, name)[kept[getattr(parts, name)]] for name in vars(parts)}
    return replace(shop_source, parts=replace(parts, **short))


@pytest.fixture(scope="module", params=["films", "shop", "short"])
def evaluation(request: pytest.FixtureRequest) -> Evaluation:
    if request.param == "films":
        return measure(opened(request.getfixturevalue("generated"), request.getfixturevalue("run")), 150, quiet)
    source = request.getfixturevalue("shop_source" if request.param == "shop" else "short_source")
    return measure(source, 200, quiet)


@pytest.mark.parametrize(("vector_k", "term_k", "expected"), [(200, 0, (134, 66)), (20, 10, (20, 10)), (5, 9, (5, 9))])
def test_terms_are_compared_even_where_none_are_served(
    generated: Settings, run: Path, vector_k: int, term_k: int, expected: tuple[int, int]
) -> None:
    recall = generated.recall.model_copy(update={"vector_k": vector_k, "term_k": term_k})
    lists = Source.open(generated.model_copy(update={"recall": recall}), run.name).lists()
    assert (lists.with_terms.vector_k, lists.with_terms.term_k) == expected
    assert (lists.vectors_alone.vector_k, lists.vectors_alone.term_k) == (vector_k + term_k, 0)


def slow_members(evaluation: Evaluation) -> tuple[set[int], set[int]]:
    """The slow, obvious way: the targets whose user, and those whose item, has few events by an earlier second."""
    source = evaluation.source
    ratings, parts = source.ratings, source.parts
    state = replay(ratings, time_order(ratings, parts.offline), State(ratings.schema, ratings.catalogue))
    order, done = online_events(ratings, parts), 0
    users, items = set(), set()
    for number, target in enumerate(evaluation.targets.tolist()):
        while done < len(order) and ratings.ts[order[done]] < ratings.ts[target]:
            state.step(ratings.event(int(order[done])))
            done += 1
        if 1 <= state.profile(ratings.userid(target)).n <= 3:
            users.add(number)
        if state.counter(ratings.itemid(target)).n < 20:
            items.add(number)
    return users, items


def test_a_group_has_exactly_its_lists(evaluation: Evaluation) -> None:
    users, items = slow_members(evaluation)
    members = {name: {*np.flatnonzero(of).tolist()} for name, of in evaluation.groups.members.items()}
    assert members[USERS] == users
    assert members[ITEMS] == items
    assert members[CUT_USERS] <= {*range(len(evaluation.targets))}
    report = evaluation.report()["groups"]
    assert {name: of["events"] for name, of in report.items()} == {name: len(of) for name, of in members.items()}


def test_the_data_have_members_of_each_group(short_source: Source) -> None:
    short = measure(short_source, None, quiet).groups.members
    assert all(short[name].any() and not short[name].all() for name in (USERS, ITEMS))
    assert short[CUT_USERS].sum() >= len(short[CUT_USERS]) - LAST, "all but users of whom nothing was known"


def test_users_are_cut_to_one_to_three_events_as_the_seed_says(monkeypatch: pytest.MonkeyPatch) -> None:
    left = cut(3_000, seed=7)
    assert {*left.tolist()} == {1, 2, 3}
    assert np.array_equal(left, cut(3_000, seed=7)) and not np.array_equal(left, cut(3_000, seed=8))
    monkeypatch.setattr(groups, "CUT", 500)
    some = cut(3_000, seed=7)
    assert np.count_nonzero(some) == 500 and {*some.tolist()} == {0, 1, 2, 3}


def test_the_lists_of_each_source_are_those_of_the_users_as_they_are_cut(evaluation: Evaluation) -> None:
    """The ranks of some lists, made anew from the state folded anew, one by one."""
    source = evaluation.source
    ratings, parts, lists = source.ratings, source.parts, source.lists()
    wanted, left = source.wanted(evaluation.targets), cut(len(evaluation.targets), source.manifest.seed)
    listers = {
        "vectors": lists.lister(source.settings.recall.model_copy(update={"vector_k": VECTOR_K + TERM_K, "term_k": 0})),
        "terms": lists.lister(by_vector=False),
        "both": lists.lister(),
    }
    number = int(np.flatnonzero(evaluation.groups.members[CUT_USERS])[-1])
    target = int(evaluation.targets[number])
    state = replay(ratings, time_order(ratings, parts.offline), State(ratings.schema, ratings.catalogue))
    for event in ratings.events(online_events(ratings, parts)):
        if event.ts < ratings.ts[target]:
            state.step(event)
    profile = shortened(state.profile(ratings.userid(target)), int(left[number]), state)
    assert 1 <= profile.n <= 3
    user, hidden = state.catalogue.user(profile.userid), state.hidden(ratings.userid(target))
    known = UserState.of(ratings.schema, profile, user, state.catalogue.items, hidden)
    counters = Items(state, source.settings.recall.half_life_days).now()
    for name, lister in listers.items():
        made = lister.recommend([known], counters, VECTOR_K + TERM_K)
        found = [column for column, _ in made.lists.entries(0)]
        rank = found.index(wanted[number]) if wanted[number] in found else MISSED
        assert evaluation.groups.ranks(CUT_USERS, name, "list")[number] == rank, name
        candidates = made.candidates.column[0].tolist()
        place = candidates.index(wanted[number]) if wanted[number] in candidates else MISSED
        assert evaluation.groups.ranks(CUT_USERS, name, "recall")[number] == place, name


def test_a_group_has_the_figures_of_every_source(evaluation: Evaluation) -> None:
    report = evaluation.report()["groups"]
    assert report.keys() == {USERS, CUT_USERS, ITEMS}
    for name, group in report.items():
        if not group["events"]:
            assert group == {"events": 0}
            continue
        assert group.keys() == {"events", "vectors", "terms", "both", "popularity"}
        for source in ("vectors", "terms", "both", "popularity"):
            recall, listed = group[source]["recall"], group[source]["list"]
            assert recall.keys() == {"hr@50", "hr@200", "all"}
            assert listed.keys() == {"hr@10", "ndcg@10", "hr@50", "hr@200"}
            rank = evaluation.groups.ranks(name, source, "list")[evaluation.groups.members[name]]
            assert listed["hr@10"] == pytest.approx(np.mean(rank < 10))
            # The ranker orders all candidates, so that none is lost or won.
            assert recall["all"] == pytest.approx(np.mean(rank != MISSED))
    cut_users = report[CUT_USERS]
    assert len({cut_users[source]["recall"]["all"] for source in ("vectors", "terms", "both")}) > 1
