"""Records that are stored as JSON, of whatever version."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift import records
from features.stored import FIRST_VERSION, Record, VersionError
from offline.state.state_snapshot import StateSnapshot
from stores import LiveRun, Snapshot

RECORDS = {
    *(each for each in vars(records).values() if isinstance(each, type) and issubclass(each, Record)),
    *(LiveRun, Snapshot, StateSnapshot),
} - {Record}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_the_records_of_drift_and_of_what_is_live_have_versions() -> None:
    assert len(RECORDS) >= 11


@pytest.mark.parametrize("record", sorted(RECORDS, key=lambda each: each.__name__))
@given(version=JSON, fields=st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_a_record_of_another_version_is_refused_whatever_it_holds(
    record: type[Record], version: object, fields: dict[str, object]
) -> None:
    if type(version) is int and version in {record.current_version(), *record.migrated_versions()}:
        return
    with pytest.raises(VersionError) as refused:
        record.read(json.dumps(fields | {"schema_version": version}))
    assert "\n" not in str(refused.value)


@given(stored=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_record_or_a_value_error(stored: bytes) -> None:
    for record in RECORDS:
        with suppress(ValueError):
            record.read(stored)


def test_a_record_from_before_there_were_versions_has_the_first() -> None:
    class Note(Record):
        text: str

    class LaterNote(Note):
        schema_version: int = FIRST_VERSION + 1

    assert Note.read('{"text": "a"}') == Note(text="a")
    assert json.loads(LaterNote(text="a").model_dump_json())["schema_version"] == FIRST_VERSION + 1
    with pytest.raises(VersionError, match="version 1 of its layout, this release reads 2"):
        LaterNote.read('{"text": "a"}')
