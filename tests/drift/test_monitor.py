"""The monitor: exact under redelivery and restarts, patient with alarms, and blind to nothing."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift import Reference, Series
from drift.events import Scored
from drift.monitor import Monitor, StateError
from drift.records import DriftUpdate
from tests import shop
from tests.drift.stream import PLAN, SERIES, events, part, reference, scored

REFERENCE: Reference = reference()
FEATURES = SERIES.features
WHOLE = events(900, 11)
DRIFTED = events(900, 12, begin=900, shift=1.5)


def new() -> Monitor:
    return Monitor("run", SERIES, REFERENCE, PLAN)


def told(update: DriftUpdate) -> list[object]:
    return [update.windows, update.opened, update.closed, update.quality]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1799), max_size=6), st.lists(st.booleans(), min_size=7, max_size=7))
def test_restarts_and_redelivery_anywhere_change_nothing(cuts: list[int], restarts: list[bool]) -> None:
    undisturbed, expected = new(), DriftUpdate()
    for stream in (WHOLE, DRIFTED):
        undisturbed.add(stream, scored(stream), expected)
    monitor, update = new(), DriftUpdate()
    bounds = [0, *sorted(set(cuts)), 1800]
    for begin, end, restart in zip(bounds, bounds[1:], restarts, strict=False):
        again = max(0, begin - 50)
        for stream, first in ((WHOLE, 0), (DRIFTED, 900)):
            some = part(stream, max(0, again - first), max(0, end - first))
            if len(some):
                monitor.add(some, scored(some), update)
        if restart:
            monitor = Monitor.unpack(monitor.pack(), "run", SERIES, REFERENCE, PLAN)
    assert told(update) == told(expected)
    assert expected.opened
    monitor.finish(update)
    undisturbed.finish(expected)
    assert update.state == expected.state
    assert update.now == expected.now or any(restarts)


def test_every_event_is_counted_once_by_partition() -> None:
    monitor, update = new(), DriftUpdate()
    for partition in (0, 3):
        some = events(150, partition, partition=partition)
        assert monitor.add(some, Scored.none(), update) == 150
        assert monitor.add(some, Scored.none(), update) == 0
        assert monitor.add(part(some, 100, 150), Scored.none(), update) == 0
    counts = monitor.finish(update).counts
    assert {partition: (each.last, each.events) for partition, each in counts.items()} == {0: (149, 150), 3: (149, 150)}
    for each in counts.values():
        assert all(sum(each.series[name]) == 150 for name in FEATURES)
        assert sum(each.series["label:Drama"]) < sum(each.series["label"]) == 150


def test_nothing_alarms_while_nothing_drifts() -> None:
    monitor, update = new(), DriftUpdate()
    for number in range(10):
        monitor.add(events(500, 100 + number, begin=500 * number), Scored.none(), update)
    assert update.opened == []
    assert len(update.windows) == 100


def test_an_alarm_opens_at_the_first_check_over_its_threshold_and_closes_after_three_at_normal() -> None:
    monitor, update = new(), DriftUpdate()
    first = FEATURES[0]
    monitor.add(events(400, 21), Scored.none(), update)
    monitor.add(events(200, 22, begin=400, shift=3.0), Scored.none(), update)
    assert [alarm.series for alarm in update.opened if alarm.detector == "psi"] == [first]
    outside = [window.events for window in update.windows if window.psi[first] > window.threshold[first]]
    assert update.opened[0].opened == outside[0]
    monitor.add(events(600, 23, begin=600), Scored.none(), update)
    closed = next(alarm for alarm in update.closed if alarm.detector == "psi")
    assert closed.key == f"psi:{first}:{outside[0]}"
    assert closed.closed == 800 + 2 * 50


def test_alarms_from_before_a_monitor_began_close_with_its_first_batch() -> None:
    before, update = new(), DriftUpdate()
    before.add(events(400, 21), Scored.none(), update)
    before.add(events(200, 22, begin=400, shift=3.0), Scored.none(), update)
    left = before.open_alarms
    assert left
    monitor, update = new(), DriftUpdate()
    monitor.close_earlier(left)
    monitor.add(events(100, 23, begin=600), Scored.none(), update)
    assert [alarm.key for alarm in monitor.finish(update).closed] == [alarm.key for alarm in left]
    assert all(alarm.closed is not None and alarm.closed >= alarm.opened for alarm in update.closed)
    assert monitor.finish(DriftUpdate()).closed == []


def test_alarms_within_a_window_of_each_other_are_of_one_cause() -> None:
    monitor, update = new(), DriftUpdate()
    monitor.add(events(400, 24), Scored.none(), update)
    some = events(400, 25, begin=400, shift=3.0)
    some.rows[100:, 1] += 3.0
    monitor.add(some, Scored.none(), update)
    later = events(400, 26, begin=800, shift=3.0)
    later.rows[:, 1] += 3.0
    later.rows[200:, 2] += 3.0
    monitor.add(later, Scored.none(), update)
    of = {alarm.series: alarm for alarm in update.opened if alarm.detector == "psi"}
    first, second, third = (of[name] for name in FEATURES[:3])
    opened = [alarm for alarm in update.opened if alarm.series == third.series]
    assert first.cause == second.cause == update.opened[0].key
    assert third.cause == opened[0].key


def test_thresholds_follow_the_time_that_a_check_covers() -> None:
    thresholds = []
    for seconds in (0.01, 100.0):
        monitor, update = new(), DriftUpdate()
        for number in range(40):
            monitor.add(events(50, number, begin=50 * number, at=1.0 + seconds * number), Scored.none(), update)
        assert len(update.windows) == 40
        thresholds.append(update.windows[-1].threshold[FEATURES[0]])
    # Ten thousand times the checks in the same time: an exponential tail makes that four equal steps.
    assert thresholds[0] > 1.3 * thresholds[1]


def test_more_false_alarms_a_week_mean_lower_thresholds() -> None:
    thresholds = []
    for per_week in (1.0, 1000.0):
        plan = replace(PLAN, false_alarms_per_week=per_week)
        monitor, update = Monitor("run", SERIES, REFERENCE, plan), DriftUpdate()
        monitor.add(events(400, 27), Scored.none(), update)
        thresholds.append(update.windows[-1].threshold[FEATURES[0]])
    assert thresholds[0] > 1.2 * thresholds[1]


@pytest.mark.parametrize("change", ["version", "bins", "detector", "nonsense"])
def test_a_state_that_cannot_be_read_is_one_kind_of_error(change: str) -> None:
    monitor, update = new(), DriftUpdate()
    monitor.add(events(400, 28), Scored.none(), update)
    state = msgpack.unpackb(monitor.pack())
    if change == "version":
        state["version"] = 1
    elif change == "bins":
        state["open"] = state["open"][:-8]
    elif change == "detector":
        state["changes"]["label"] = b"of another version"
    packed = b"junk" if change == "nonsense" else msgpack.packb(state)
    with pytest.raises(StateError, match="the state of drift cannot be read"):
        Monitor.unpack(packed, "run", SERIES, REFERENCE, PLAN)


@pytest.mark.parametrize(("value", "detector"), [(np.nan, "missing"), (1e6, "range")])
def test_values_that_are_missing_or_out_of_range_have_alarms_of_their_own(value: float, detector: str) -> None:
    monitor, update = new(), DriftUpdate()
    some = events(400, 31)
    some.rows[:, 4] = value
    monitor.add(some, Scored.none(), update)
    assert {alarm.detector for alarm in update.opened if alarm.series == FEATURES[4]} == {"psi", detector}
    now = monitor.finish(update).now
    assert now is not None and now.series[0].name == FEATURES[4]
    assert (now.series[0].missing, now.series[0].out_of_range) == ((1.0, 0.0) if detector == "missing" else (0.0, 1.0))


def test_a_turn_of_the_label_is_seen_by_windows_and_event_by_event() -> None:
    monitor, update = new(), DriftUpdate()
    monitor.add(events(1000, 41), Scored.none(), update)
    turned = events(1000, 42, begin=1000)
    monitor.add(replace(turned, liked=np.zeros(1000, dtype=bool)), Scored.none(), update)
    alarms = {alarm.detector: alarm for alarm in update.opened if alarm.series == "label"}
    assert alarms.keys() == {"psi", "adwin"}
    windows, change = alarms["psi"], alarms["adwin"]
    assert windows.threshold is not None and windows.value > windows.threshold and windows.mean_before is None
    assert change.threshold is None and change.mean_before is not None and change.mean_before > change.value


def test_a_pane_ends_by_time_where_events_trickle() -> None:
    monitor, update = new(), DriftUpdate()
    for number in range(6):
        monitor.add(events(30, number, begin=30 * number, at=101.0 * number), Scored.none(), update)
    assert [window.events for window in update.windows] == [30, 60, 90, 120, 150]


def test_another_run_begins_anew_and_keeps_the_offsets() -> None:
    monitor, update = new(), DriftUpdate()
    monitor.add(events(400, 51, shift=3.0), Scored.none(), update)
    other = Monitor.unpack(monitor.pack(), "other", SERIES, REFERENCE, PLAN)
    later = DriftUpdate()
    assert other.add(events(400, 51, shift=3.0), Scored.none(), later) == 0
    other.add(events(100, 52, begin=400), Scored.none(), later)
    other.finish(later)
    assert {alarm.key for alarm in later.closed} == {alarm.key for alarm in update.opened}
    assert later.counts[0].events == 100 and later.counts[0].last == 499


def test_the_series_of_a_shop_are_watched_as_those_of_films() -> None:
    series, watched = Series(shop.SCHEMA), reference(shop.SCHEMA)
    monitor, update = Monitor("run", series, watched, PLAN), DriftUpdate()
    monitor.add(events(400, 21, schema=shop.SCHEMA), Scored.none(), update)
    assert update.opened == []
    some = events(400, 22, begin=400, schema=shop.SCHEMA)
    garden = some.rows[:, series.features.index("category:garden")] > 0.5
    monitor.add(replace(some, liked=some.liked & ~garden), Scored.none(), update)
    worst = min(update.opened, key=lambda alarm: (alarm.opened, -alarm.value))
    assert worst.series == "label:garden"
    counts = monitor.finish(update).counts[0].series
    assert counts.keys() == {*series.features, *series.labels}
    assert sum(counts["label:garden"]) < sum(counts["label"]) == 800
    again = Monitor.unpack(monitor.pack(), "run", series, watched, PLAN)
    assert again.pack() == monitor.pack()
