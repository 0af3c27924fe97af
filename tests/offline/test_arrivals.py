"""The events that stand for those that will arrive, and those kept back from the last training."""

from __future__ import annotations

import numpy as np

from drift.thresholds import BLOCK
from features.columns import ItemTable
from features.schema import DENSE_COLUMNS
from offline.data.arrivals import LONG, Before, expected, offline_by_user, unseen, without
from offline.data.history import State, replay
from offline.data.readers import Ratings
from offline.data.split import Split, time_order


def test_each_user_is_represented_where_it_stands_now(ratings: Ratings, parts: Split) -> None:
    histories = offline_by_user(ratings, parts)
    place = {int(at): number for history in histories for number, at in enumerate(history.tolist())}
    arrivals = expected(ratings, parts, 1)
    begins = np.array([place[int(block[0])] for block in arrivals.blocks])
    length = np.array([len(history) for history in histories])
    assert len(arrivals.blocks) == len(histories)
    assert len(np.unique(arrivals.place)) == len(arrivals.place)
    # The longest histories have no longer ones to be represented by.
    short = np.sort(length)[: len(length) // 2]
    found = np.sort(begins)[: len(length) // 2]
    assert np.abs(found - short).mean() < BLOCK / 2
    assert short.max() < LONG


def test_the_events_kept_back_are_unseen_by_every_training(ratings: Ratings, parts: Split) -> None:
    kept = unseen(ratings, expected(ratings, parts, 1), parts, 1)
    assert len(kept.place) > 0
    assert np.isin(kept.place, parts.test).all()
    rest = without(ratings, parts, kept)
    assert not np.isin(kept.place, rest).any()
    last = {int(user): int(ratings.ts[rest[ratings.userid[rest] == user]].max()) for user in np.unique(ratings.userid)}
    assert all(last[int(ratings.userid[at])] <= int(ratings.ts[at]) for at in kept.place)
    assert len(rest) >= 0.8 * len(parts.offline)


def test_items_are_counted_as_they_are_at_the_end_without_the_event(ratings: Ratings, parts: Split) -> None:
    arrivals = expected(ratings, parts, 1)
    before = Before(ratings, arrivals, arrivals)
    state = replay(ratings, time_order(ratings, parts.offline), State(ratings.catalogue), (before,))
    rows = before.rows(ItemTable(ratings.catalogue.items))
    n = [state.counters[int(ratings.itemid[at])].n - 1 for at in arrivals.place]
    assert np.allclose(rows[:, DENSE_COLUMNS.index("item_log_n")], np.log1p(n))
    some = before.states(arrivals.place[:5])
    itemids = sorted(ratings.catalogue.items)
    column = [itemids.index(int(ratings.itemid[at])) for at in arrivals.place[:5]]
    assert some.counters.n[np.arange(5), column].tolist() == n[:5]
