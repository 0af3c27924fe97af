"""An acknowledgement holds until the alarms that it is about change."""

from __future__ import annotations

from drift.acknowledged import acknowledge, changed
from drift.records import Alarm, DriftNow, SeriesNow


def alarm(series: str, opened: int = 100, group: str = "psi:label:100") -> Alarm:
    when = {"opened_wall_ts": 1.0, "opened_event_ts": 2}
    return Alarm(series=series, detector="psi", opened=opened, value=0.3, threshold=0.2, group=group, **when)


def now(**ratios: float) -> DriftNow:
    zero = {"js": 0.0, "missing": 0.0, "out_of_range": 0.0}
    series = [SeriesNow(name=name, kind="feature", n=9, psi=of, threshold=1.0, **zero) for name, of in ratios.items()]
    return DriftNow(events=1, wall_ts=1.0, event_ts=1, window=9, run="run", series=series)


FIRST, SECOND = alarm("label", group=""), alarm("item_year", 200)
SAID = acknowledge(
    "psi:label:100", "known", 5.0, [FIRST, SECOND, alarm("next", 900, "")], now(label=1.5, item_year=1.2)
)


def test_it_is_about_the_alarms_of_one_cause() -> None:
    assert SAID.alarms == ["psi:label:100", "psi:item_year:200"]
    assert SAID.note == "known"


def test_it_holds_while_nothing_changes_or_things_get_better() -> None:
    assert not changed(SAID, [FIRST, SECOND], now(label=1.9, item_year=1.1))
    assert not changed(SAID, [FIRST], now(label=0.5))
    assert not changed(SAID, [FIRST, alarm("next", 900, "")], now(label=1.5, next=9.0))


def test_it_ends_when_another_series_joins() -> None:
    assert changed(SAID, [FIRST, SECOND, alarm("user_log_n", 210)], now(label=1.5))


def test_it_ends_when_things_get_much_worse() -> None:
    assert changed(SAID, [FIRST, SECOND], now(label=2.1, item_year=1.1))


def test_it_ends_with_its_alarms() -> None:
    assert changed(SAID, [alarm("next", 900, "")], now(label=1.5))
