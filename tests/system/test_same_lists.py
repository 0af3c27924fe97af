"""One state, one list: the API, the stream, evaluation and training all make the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from drift.events import NO_LIST
from features import Event
from features.columns import ItemTable
from offline.data.history import State, replay
from offline.data.point_in_time import PriorStates
from offline.data.split import time_order
from offline.evaluate.evaluation import Source
from offline.evaluate.state import Items, Known
from offline.train.lists import CandidateLists, EncoderRecall
from scoring import MISSED, RecentCounters, Users, UserState
from scoring.lists import pairs_of
from stores import FeatureBatch, Models, Published, Sampled, Serving, StateStores
from stores.elasticsearch import ItemIndex
from stream.drift.counterfactual import CounterfactualList
from stream.drift.earlier import EarlierCounters
from stream.drift.scoring import Scorer
from tests.movielens import SCHEMA
from tests.polling import until
from tests.system.conftest import System

NEW, UNKNOWN = 900_001, 900_002
"""A user who is known from a few events alone, and one who has none."""

SIZE = 40
CLOSE = 1e-5
"""Differences of scores that come from the size of a batch alone."""

Listed = list[tuple[int, float]]
"""(itemid, score), best first."""


@dataclass
class Twin:
    """The state of the system, folded offline from the same events."""

    source: Source
    state: State

    @property
    def table(self) -> ItemTable:
        return ItemTable(SCHEMA, self.source.ratings.catalogue.items)

    @property
    def counters(self) -> RecentCounters:
        return Items(self.state, self.source.settings.recall.half_life_days).now()

    def users(self, userids: list[int]) -> list[UserState]:
        return [self.state.user_state(userid) for userid in userids]


@pytest.fixture(scope="module")
def twin(system: System) -> Twin:
    """The system after half of the replay and a new user's first events, and its offline twin."""
    system.start_over()
    half, items = system.events[: len(system.events) // 2], system.catalogue_items()
    events = [*half, *(Event(NEW, items[place], rating, half[-1].ts) for place, rating in ((3, 5), (5, 2), (7, 4)))]
    system.send_events(events)
    system.wait_for_items()
    source = Source.open(system.settings, None)
    ratings = source.ratings
    state = replay(ratings, time_order(ratings, source.parts.offline), State(SCHEMA, ratings.catalogue))
    for event in events:
        state.step(event)
    return Twin(source, state)


@pytest.fixture(scope="module")
def userids(system: System, twin: Twin) -> list[int]:
    chosen = [*sorted({event.userid for event in system.events})[:4], NEW, UNKNOWN]
    # The API takes over the items' features within a second.
    expected = offline_lists(twin, chosen)
    until(
        lambda: all(same(api_list(system, userid), listed) for userid, listed in zip(chosen, expected, strict=True)),
        not_yet=(AssertionError,),
    )
    return chosen


def offline_lists(twin: Twin, userids: list[int]) -> list[Listed]:
    """Evaluation's lists, all of them made at once."""
    known = Known(0, SCHEMA, twin.users(userids), RecentCounters.stack([twin.counters] * len(userids)))
    lists, itemids = twin.source.lists().pipeline(known), twin.table.itemids
    return [[(itemids[column], score) for column, score in lists.entries(row)] for row in range(len(userids))]


def api_list(system: System, userid: int) -> Listed:
    answer = system.rec(userid=userid, size=SIZE)
    assert answer["degraded"] == []
    return [(item["itemid"], item["score"]) for item in answer["item_list"]]


def same(one: Listed, other: Listed) -> bool:
    """Return whether two lists hold the same items in the same order, except where scores are as good as equal."""
    if len(one) != len(other) or not np.allclose(
        [score for _, score in one], [score for _, score in other], atol=CLOSE
    ):
        return False
    scores = dict(other)
    return all(
        itemid == theirs or abs(scores.get(itemid, np.inf) - score) <= CLOSE
        for (itemid, score), (theirs, _) in zip(one, other, strict=True)
    )


def test_the_api_makes_the_lists_of_evaluation(system: System, twin: Twin, userids: list[int]) -> None:
    expected = offline_lists(twin, userids)
    assert all(len(listed) == SIZE for listed in expected)
    for userid, listed in zip(userids, expected, strict=True):
        assert same(api_list(system, userid), listed), userid
    assert system.rec(userid=UNKNOWN)["fallback"] == "unknown_user"


def test_an_events_rank_in_the_stream_is_its_place_in_the_apis_list(
    system: System, twin: Twin, userids: list[int]
) -> None:
    run, settings = Published(system.profiles.client).run(), system.settings
    assert run is not None
    models, index = Models(settings.triton), ItemIndex(settings.elasticsearch)
    counters = EarlierCounters(system.profiles, lambda: twin.table, settings.recall.half_life_days)
    try:
        lists = CounterfactualList(system.profiles, counters)
        scorer = Scorer(lists)
        ids = StateStores.live(settings).ids(run)
        serving = Serving(run, ids, models, index, twin.table, settings.recall)
        counters.read()
        for userid in userids[:-1]:
            (listed,) = offline_lists(twin, [userid])
            unlisted = sorted(set(twin.table.items) - {itemid for itemid, _ in listed} - set(twin.state.seen[userid]))
            wanted = [*(itemid for itemid, _ in listed[::5]), unlisted[0], next(iter(twin.state.seen[userid]))]
            scored = scorer(sampled_events(system, twin, userid, wanted), serving)
            *ranks, missed, hidden = scored.rank.tolist()
            assert (missed, hidden) == (MISSED, NO_LIST)
            for rank, place in zip(ranks, range(0, len(listed), 5), strict=True):
                assert rank == place or abs(listed[rank][1] - listed[place][1]) <= CLOSE
            # The prequential score of each event is the one that its item is listed with.
            assert scored.values[:-2, 2] == pytest.approx([score for _, score in listed[::5]], abs=CLOSE)
    finally:
        models.close()
        index.close()


def sampled_events(system: System, twin: Twin, userid: int, wanted: list[int]) -> FeatureBatch:
    """Likes of some items that the user might have done next, as the fold would log them."""
    (user,), profile, n = twin.users([userid]), twin.state.profile(userid), len(wanted)
    ids = twin.source.ids
    users = Users.of(SCHEMA, ids, [user], 1)
    row, column = np.zeros(n, dtype=np.int64), twin.table.column(wanted)
    partition = system.partition(userid)
    offset = system.profiles.applied()[partition]
    assert offset is not None
    who = user.user
    return FeatureBatch(
        partition=partition,
        offset=offset + 1 + np.arange(n),
        ts=np.full(n, profile.last_ts + 1),
        userid=np.full(n, userid),
        itemid=np.array(wanted),
        code=np.full(n, 5),
        created=np.zeros(n),
        rows=pairs_of(users, row, column, twin.table, twin.counters, ids).dense,
        sampled=[
            Sampled(place, [*who.codes], profile.n, list(user.recent), list(user.features), profile.weights)
            for place in range(n)
        ],
    )


def test_training_gives_the_ranker_what_the_api_gives_it(system: System, twin: Twin, userids: list[int]) -> None:
    source, table = twin.source, twin.table
    recall = EncoderRecall(table, source.vectors, source.models.encode, source.history, source.ids)
    for userid in userids[:-1]:
        answer = system.rec(userid=userid, size=SIZE, explain=True)["item_list"]
        states = PriorStates(np.zeros(1, dtype=np.int64), twin.users([userid]), twin.counters)
        lists = CandidateLists.of(states, table.column([answer[0]["itemid"]]), recall)
        itemids = [source.ids.items.id(number) for number in lists.inputs.ids[:, 1].tolist()]
        assert itemids[int(lists.wanted[0])] == answer[0]["itemid"]
        ranking = source.models.rank(lists.inputs)
        for item in answer:
            place = itemids.index(item["itemid"])
            assert item["explain"]["features"] == dict(
                zip(SCHEMA.dense_columns, lists.inputs.dense[place].tolist(), strict=True)
            )
            for name, values in (("next", ranking.next), ("like", ranking.like)):
                assert item["explain"][name] == pytest.approx(values[place], abs=CLOSE)
            assert item["score"] == pytest.approx(ranking.score[place], abs=CLOSE)
