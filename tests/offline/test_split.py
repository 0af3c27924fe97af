from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from features import Schema
from features.dataset import LastEvents, PointInTime
from offline.data.readers import Ratings
from offline.data.split import Split, online_events, split, split_of_training, time_order, user_order
from settings import DataSettings
from tests.offline.shop_data import HELD_OUT


def test_every_event_is_in_one_part(events: Ratings, events_parts: Split) -> None:
    parts = events_parts
    together = np.concatenate([parts.fit, parts.validation, parts.test, parts.online])
    assert np.array_equal(np.sort(together), np.arange(len(events)))


def test_the_parts_of_a_user_follow_each_other_in_time(events: Ratings, events_parts: Split) -> None:
    rank = np.empty(len(events), dtype=np.int64)
    rank[user_order(events.user, events.ts)] = np.arange(len(events))
    held_out = 10 if events.schema.dataset.split is None else HELD_OUT
    for user in np.unique(events.user):
        mine = [places[events.user[places] == user] for places in vars(events_parts).values()]
        assert np.array_equal(
            np.concatenate(mine), np.flatnonzero(events.user == user)[np.argsort(rank[events.user == user])]
        )
        n = sum(map(len, mine))
        train = -(-(n - held_out) * 4 // 5)
        assert [len(part) for part in mine[2:]] == [n - held_out - train, held_out]
        assert len(mine[1]) == -(-train // 20)


def test_online_events_are_replayed_by_time_then_user_then_file(events: Ratings, events_parts: Split) -> None:
    order = online_events(events, events_parts).tolist()
    assert order == sorted(order, key=lambda place: (events.ts[place], events.userid(place), place))
    assert np.array_equal(time_order(events, events_parts.online[::-1]), order)


def described(events: Ratings, rule: LastEvents | PointInTime) -> Ratings:
    """The events with another split in their description."""
    dataset = events.schema.dataset.model_copy(update={"split": rule})
    return replace(events, schema=Schema(dataset, events.schema.learned))


def test_a_split_by_a_point_in_time_holds_out_all_later_events(events: Ratings) -> None:
    at = int(np.quantile(events.ts, 0.8))
    rule = PointInTime(kind="time", at=datetime.fromtimestamp(at, UTC))
    parts = split(described(events, rule), DataSettings())
    assert np.array_equal(np.sort(parts.online), np.flatnonzero(events.ts >= at))
    for user in np.unique(events.user):
        n = np.count_nonzero((events.user == user) & (events.ts < at))
        mine = [np.count_nonzero(events.user[places] == user) for places in (parts.train, parts.test)]
        assert mine == [-(-n * 4 // 5), n - -(-n * 4 // 5)]
    # Someone has no event before, and someone none after.
    assert {*np.unique(events.user[parts.offline])} != {*np.unique(events.user)}


def test_the_description_is_asked_before_the_setting(events: Ratings) -> None:
    parts = split(described(events, LastEvents(kind="last", events=3)), DataSettings(online_events=7))
    assert np.bincount(events.user[parts.online])[1:].tolist() == [3] * len(events.users)


def test_the_split_of_the_training_events_holds_out_the_validation_events(events: Ratings, events_parts: Split) -> None:
    parts = split_of_training(events, DataSettings())
    assert np.array_equal(parts.online, events_parts.validation)
    assert np.array_equal(np.sort(parts.offline), np.sort(events_parts.fit))
    for user in np.unique(events.user):
        mine = [places[events.user[places] == user] for places in (parts.fit, parts.validation, parts.test)]
        known = events_parts.fit[events.user[events_parts.fit] == user]
        assert np.array_equal(np.concatenate(mine), known)
        train = -(-len(known) * 4 // 5)
        assert [len(part) for part in mine] == [train - -(-train // 20), -(-train // 20), len(known) - train]


def test_users_without_training_events_are_in_no_part_of_that_split(events: Ratings) -> None:
    at = datetime.fromtimestamp(int(np.quantile(events.ts, 0.3)), UTC)
    other = described(events, PointInTime(kind="time", at=at))
    users = [np.unique(other.user[parts.train]) for parts in (split(other, DataSettings()),)]
    parts = split_of_training(other, DataSettings())
    assert set(np.unique(other.user[np.concatenate([parts.offline, parts.online])])) == {*users[0]}
    assert {*users[0]} < {*np.unique(other.user)}


@pytest.mark.ml1m
def test_the_counts_are_those_of_the_design(ml1m: Ratings) -> None:
    parts = split(ml1m, DataSettings())
    assert len(ml1m) == 1_000_209
    assert ml1m.positive.sum() == 575_281
    assert len(parts.online) == 60_400
    assert len(parts.train) == 754_233
    assert len(parts.test) == 185_576
    assert ml1m.positive[parts.online].sum() == ml1m.targets(parts.online).sum() == 35_492
