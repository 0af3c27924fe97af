"""Records of drift as they are stored."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from drift.records import Alarm, Detector, DriftWindow, SeriesNow

WHEN = {"opened_wall_ts": 0.0, "opened_event_ts": 0}
RECORDS = [
    Alarm(series="n", detector="psi", opened=1, value=0.3, threshold=0.2, **WHEN),
    DriftWindow(events=1, wall_ts=0.0, event_ts=0, psi={"n": 0.3}, threshold={"n": 0.2}),
    SeriesNow(name="n", kind="feature", n=9, psi=0.3, threshold=0.2, js=0.0, missing=0.0, out_of_range=0.0),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_that_was_stored_when_a_threshold_was_called_band_is_read(record: BaseModel) -> None:
    stored = json.loads(record.model_dump_json())
    assert "band" not in stored
    stored["band"] = stored.pop("threshold")
    assert type(record).model_validate_json(json.dumps(stored)) == record


def alarm(detector: Detector, **figures: float) -> Alarm:
    return Alarm(series="label", detector=detector, opened=1, value=0.3, **WHEN, **figures)


@pytest.mark.parametrize("detector", ["adwin", "kswin"])
@pytest.mark.parametrize("name", ["threshold", "band"])
@pytest.mark.parametrize("version", [{}, {"schema_version": 1}], ids=["no version", "version 1"])
def test_an_alarm_that_was_stored_with_the_mean_before_the_change_as_its_threshold_is_read(
    detector: Detector, name: str, version: dict[str, int]
) -> None:
    stored = alarm(detector).model_dump(exclude={"schema_version", "threshold", "mean_before"}) | {name: 0.6} | version
    read = Alarm.read(json.dumps(stored))
    assert read == Alarm.model_validate(stored) == alarm(detector, mean_before=0.6)
    assert (read.schema_version, read.threshold, read.mean_before) == (2, None, 0.6)
    assert Alarm.read(read.model_dump_json()) == read


def test_an_alarm_about_a_failure_has_neither_a_threshold_nor_a_mean_also_where_0_is_stored() -> None:
    stored = alarm("failure").model_dump(exclude={"schema_version", "mean_before"}) | {"threshold": 0.0}
    assert Alarm.read(json.dumps(stored)) == alarm("failure")
    assert (alarm("failure").threshold, alarm("failure").mean_before) == (None, None)
