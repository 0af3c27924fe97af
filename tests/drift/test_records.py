"""Records of drift as they are stored."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from drift.records import Alarm, DriftWindow, SeriesNow

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
