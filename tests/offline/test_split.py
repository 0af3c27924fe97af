from __future__ import annotations

import numpy as np
import pytest

from offline.data.readers import Ratings
from offline.data.split import Split, online_events, split, time_order, user_order
from settings import DataSettings


def test_every_event_is_in_one_part(ratings: Ratings, parts: Split) -> None:
    together = np.concatenate([parts.fit, parts.validation, parts.test, parts.online])
    assert np.array_equal(np.sort(together), np.arange(len(ratings)))


def test_the_parts_of_a_user_follow_each_other_in_time(ratings: Ratings, parts: Split) -> None:
    rank = np.empty(len(ratings), dtype=np.int64)
    rank[user_order(ratings)] = np.arange(len(ratings))
    for userid in np.unique(ratings.userid):
        mine = [places[ratings.userid[places] == userid] for places in vars(parts).values()]
        assert np.array_equal(
            np.concatenate(mine), np.flatnonzero(ratings.userid == userid)[np.argsort(rank[ratings.userid == userid])]
        )
        n = sum(map(len, mine))
        train = -(-(n - 10) * 4 // 5)
        assert [len(part) for part in mine[2:]] == [n - 10 - train, 10]
        assert len(mine[1]) == -(-train // 20)


def test_online_events_are_replayed_by_time_then_user_then_file(ratings: Ratings, parts: Split) -> None:
    order = online_events(ratings, parts).tolist()
    assert order == sorted(order, key=lambda place: (ratings.ts[place], ratings.userid[place], place))
    assert np.array_equal(time_order(ratings, parts.online[::-1]), order)


@pytest.mark.ml1m
def test_the_counts_are_those_of_the_design(ml1m: Ratings) -> None:
    parts = split(ml1m, DataSettings())
    assert len(ml1m) == 1_000_209
    assert (ml1m.rating > 3).sum() == 575_281
    assert len(parts.online) == 60_400
    assert len(parts.train) == 754_233
    assert len(parts.test) == 185_576
    assert (ml1m.rating[parts.online] > 3).sum() == 35_492
