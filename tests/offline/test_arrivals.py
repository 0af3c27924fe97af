"""The events that stand for those that will arrive, and those kept back from the last training."""

from __future__ import annotations

import numpy as np

from drift.thresholds import BLOCK
from features.columns import ItemTable
from features.seen import known
from offline.data.arrivals import LONG, Arrivals, Before, expected, offline_by_user, unseen, without
from offline.data.history import State, replay
from offline.data.readers import Ratings
from offline.data.split import Split, time_order


def test_each_user_is_represented_where_it_stands_now(events: Ratings, events_parts: Split) -> None:
    histories = offline_by_user(events, events_parts)
    place = {int(at): number for history in histories for number, at in enumerate(history.tolist())}
    arrivals = expected(events, events_parts, 1)
    begins = np.array([place[int(block[0])] for block in arrivals.blocks])
    length = np.array([len(history) for history in histories])
    assert len(arrivals.blocks) == len(histories)
    assert len(np.unique(arrivals.place)) == len(arrivals.place)
    # The longest histories have no longer ones to be represented by.
    short = np.sort(length)[: len(length) // 2]
    found = np.sort(begins)[: len(length) // 2]
    assert np.abs(found - short).mean() < BLOCK / 2
    assert short.max() < LONG


def test_the_events_kept_back_are_unseen_by_every_training(events: Ratings, events_parts: Split) -> None:
    parts = events_parts
    kept = unseen(events, expected(events, parts, 1), parts, 1)
    assert len(kept.place) > 0
    assert np.isin(kept.place, parts.test).all()
    rest = without(events, parts, kept)
    assert not np.isin(kept.place, rest).any()
    last = {int(user): int(events.ts[rest[events.user[rest] == user]].max()) for user in np.unique(events.user)}
    assert all(last[int(events.user[at])] <= int(events.ts[at]) for at in kept.place)
    assert len(rest) >= 0.8 * len(parts.offline)


def test_items_are_counted_as_they_are_at_the_end_without_the_event(events: Ratings, events_parts: Split) -> None:
    """Their counters are those of a fold of all offline events but the one."""
    arrivals = expected(events, events_parts, 1)
    before = Before(events, arrivals, arrivals)
    order = time_order(events, events_parts.offline)
    replay(events, order, State(events.schema, events.catalogue), (before,))
    rows = before.rows(ItemTable(events.schema, events.catalogue.items))
    some = arrivals.place[:: max(1, len(arrivals.place) // 30)]
    states = before.states(some)
    columns = events.schema.dense_columns
    for row, place in enumerate(some.tolist()):
        others = order[(events.item[order] == events.item[place]) & (order != place)]
        counter = replay(events, others, State(events.schema, events.catalogue)).counter(events.itemid(place))
        at = int(np.flatnonzero(arrivals.place == place)[0])
        assert rows[at, columns.index("item_log_n")] == np.float32(np.log1p(counter.n))
        column = events.item[place] - 1
        assert states.counters.n[row, column] == counter.n
        assert states.counters.likes[row, column] == counter.likes


def test_some_events_of_the_shop_are_not_the_only_ones_of_their_kind(shop_events: Ratings, shop_parts: Split) -> None:
    """Without them the counters above are the same as with them."""
    arrivals = expected(shop_events, shop_parts, 1)
    state = State(shop_events.schema, shop_events.catalogue)
    replay(shop_events, time_order(shop_events, shop_parts.offline), state)
    codes = shop_events.schema.codes
    kept = [
        known(state.seen[event.userid][event.itemid], event.code, codes) == (event.ts, event.code)
        for event in shop_events.events(arrivals.place)
    ]
    assert 0 < sum(kept) < len(kept)


def test_no_blocks_are_no_arrivals() -> None:
    assert Arrivals.of([]).blocks == []
