"""A value that a later release wrote is refused, left out or reset, as docs/versions.md says; never misread."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from drift import Reference, ReferenceError
from drift.monitor import Monitor, StateError
from drift.records import (
    Acknowledgement,
    Alarm,
    DriftNow,
    DriftUpdate,
    DriftWindow,
    PartitionCounts,
    QualityWindow,
    SeriesHistogram,
    TrainedQuality,
)
from features import EventError, Layer
from features.state_fields import StateFields
from features.stored import Record, VersionError
from offline import runs
from offline.errors import DataError, RunError
from offline.state import state_snapshot
from scoring.metadata import Regression
from scoring.run_ids import RunIds
from settings import Settings, load
from stores import (
    DriftStore,
    FeatureBatch,
    Generations,
    LiveGeneration,
    LiveRun,
    Logged,
    OtherVersion,
    Profiles,
    Published,
    Snapshot,
    Wanted,
    view_shard,
)
from stores.kafka.dead_letters import LetterError, letter_of, read_letter
from stores.kafka.feature_log import FeatureLogError
from stores.kafka.log_heads import LogHeads
from stores.kafka.record import Mark
from stores.redis.generations import LIVE
from stores.redis.packed_changes import Waiting, pack_changed, pack_waiting, unpack_changed, unpack_waiting
from stores.redis.publish_lock import LOCK, holder_of
from stores.redis.published import CATALOGUE, FIELDS, ITEMS, OTHERS, SNAPSHOT, STATE
from stores.redis.published import SCHEMA as SCHEMA_KEY
from stores.redis.published_runs import IDS, METADATA, PREVIOUS, REFERENCE, RUN
from stores.redis.shard_catalogue import read_layers
from tests.drift.stream import PLAN, SERIES, reference
from tests.inventory import Row, rows
from tests.movielens import SCHEMA, item

FUTURE = 99
KEPT = item(1, "One", 1994, (0,))
SNAPSHOT_NOW = Snapshot(data_hash="a", created="2026-01-01T00:00:00+00:00", events=1, users=1, items=1)
DECLARED = StateFields.declared(SCHEMA)
RUN_NOW = LiveRun(
    run="one",
    version=1,
    index="items-1",
    dim=3,
    history=10,
    quality=0.1,
    dense=list(SCHEMA.dense_columns),
    numbered=True,
)
ALARM = Alarm(series="x", detector="psi", opened=1, opened_wall_ts=1, opened_event_ts=1, value=1, threshold=0)
RECORDS: dict[str, Record] = {
    "now": DriftNow(events=1, wall_ts=1, event_ts=1, window=1, run="one", series=[]),
    "trained": TrainedQuality(run="one"),
    "timeline": DriftWindow(events=1, wall_ts=1, event_ts=1, psi={}, threshold={}),
    "closed": ALARM,
    "quality": QualityWindow(events=1, wall_ts=1, event_ts=1, run="one", seen=1, scored=1, listed=1, sampling=1),
}


@dataclass
class Place:
    """Stores for values of a later release: an empty Redis, and an empty state folder."""

    published: Published
    drift: DriftStore
    settings: Settings

    def put(self, name: str, value: bytes | str) -> None:
        self.published.client.set(name, value)


def future(record: Record) -> str:
    """A record of a later release, with its fields unchanged, so that only the version tells."""
    return json.dumps(json.loads(record.model_dump_json()) | {"schema_version": FUTURE})


def refused_state(place: Place) -> None:
    place.published.set_snapshot(SNAPSHOT_NOW)
    place.put(STATE, "ffffffff")
    with pytest.raises(OtherVersion, match=r"version ffffffff, .*`reelstream rebuild`"):
        place.published.require_state_version()


def refused_snapshot(place: Place) -> None:
    place.put(SNAPSHOT, SNAPSHOT_NOW.model_dump_json())
    assert place.published.snapshot() == SNAPSHOT_NOW
    place.put(SNAPSHOT, future(SNAPSHOT_NOW))
    with pytest.raises(OtherVersion, match=r"version 99 .*`reelstream publish --reset`"):
        place.published.snapshot()
    # The command that helps works.
    place.published.begin_reset()
    assert place.published.resetting() == ""


def refused_schema(place: Place) -> None:
    place.published.begin_snapshot("a", SCHEMA)
    stored = json.loads(SCHEMA.to_json())
    for other in (stored | {"schema_version": FUTURE}, stored | {"dataset": {"unheard": "of"}}):
        place.put(SCHEMA_KEY, json.dumps(other))
        for read in (Published.schema, Published.require_state_version):
            with pytest.raises(OtherVersion, match=r"schema in Redis .*`reelstream publish --reset`"):
                read(place.published)
    place.published.client.delete(SCHEMA_KEY)
    assert place.published.schema() == SCHEMA, "the first version had none"


def refused_ids(place: Place) -> None:
    ids = RunIds.of([1, 2], [1])
    place.published.set_ids("one", ids)
    assert place.published.ids("one") == ids
    place.published.client.hset(IDS, "one", json.dumps(json.loads(ids.pack()) | {"schema_version": FUTURE}))
    with pytest.raises(OtherVersion, match=r"ids of run one .*version 99 .*`reelstream publish --force`"):
        place.published.ids("one")


def refused_regression(place: Place) -> None:
    regression = Regression.of_mean(np.ones((2, 3), dtype=np.float32))
    place.published.set_items("one", regression, np.ones((2, 4), dtype=np.float32))
    assert (read := place.published.regression("one")) is not None and read.columns == regression.columns
    later = replace(regression, columns=regression.columns.model_copy(update={"schema_version": FUTURE}))
    place.published.client.hset(METADATA, "one", later.pack())
    with pytest.raises(OtherVersion, match=r"regression of run one .*version 99 .*`reelstream publish --force`"):
        place.published.regression("one")


def refused_run(place: Place) -> None:
    first = {name: value for name, value in json.loads(RUN_NOW.model_dump_json()).items() if name != "numbered"}
    place.put(RUN, json.dumps(first | {"schema_version": 1}))
    assert place.published.run() == RUN_NOW.model_copy(update={"numbered": False}), "the first version is read"
    stored = future(RUN_NOW).encode()
    place.put(RUN, stored)
    with pytest.raises(OtherVersion, match=r"version 99 .*`reelstream publish --force`"):
        place.published.run()
    with pytest.raises(OtherVersion):
        place.published.run_to_replace()
    assert place.published.run_to_replace(force=True) == (None, stored)


def refused_previous_run(place: Place) -> None:
    place.put(PREVIOUS, future(RUN_NOW))
    with pytest.raises(OtherVersion, match=r"the previous run .*version 99"):
        place.published.previous_run()


def refused_catalogue(place: Place) -> None:
    rows_of_first = [(1, "One", 1994, (0,))]
    place.put(CATALOGUE, msgpack.packb(rows_of_first))
    assert place.published.catalogue() == {1: KEPT}, "the first version is read"
    place.put(CATALOGUE, msgpack.packb({"schema_version": FUTURE, "rows": rows_of_first}))
    with pytest.raises(OtherVersion, match=r"version 99 .*`reelstream publish` writes it again"):
        place.published.catalogue()
    place.published.set_catalogue({1: KEPT})
    assert place.published.catalogue() == {1: KEPT}


def refused_others(place: Place) -> None:
    hset = place.published.client.hset
    hset(OTHERS, "0", msgpack.packb([(1, 5, 3)]))
    assert place.published.others(0) == {1: (5, 3)}, "the first version is read"
    hset(OTHERS, "0", msgpack.packb({"schema_version": FUTURE, "rows": [(1, 5, 3)]}))
    with pytest.raises(VersionError, match="version 99"):
        place.published.others(0)


def refused_reference(place: Place) -> None:
    fields = reference().as_json()
    first = {name: value for name, value in fields.items() if name != "schema_version"}
    assert Reference.from_json(SERIES, first) == Reference.from_json(SERIES, fields), "the first version is read"
    place.published.client.hset(REFERENCE, "one", json.dumps(fields | {"schema_version": FUTURE}))
    with pytest.raises(ReferenceError, match=r"version 99 .*train and publish again"):
        Reference.from_json(SERIES, place.published.reference("one"))


def unread_notice(place: Place) -> None:
    place.published.tell_items([1, 2])
    position, changed = place.published.changed_items("0-0")
    assert changed == [1, 2]
    place.published.client.xadd(ITEMS, {"items": "in another form"})
    later, changed = place.published.changed_items(position)
    assert changed is None and later > position


def undescribed_holder(place: Place) -> None:
    place.put(LOCK, json.dumps({"schema_version": FUTURE, "by": "a later release"}))
    assert holder_of(place.published.client) == "another publish"


def reset_monitor(place: Place) -> None:
    state = msgpack.unpackb(Monitor("one", SERIES, reference(), PLAN).pack())
    with pytest.raises(StateError, match="version 99"):
        Monitor.unpack(msgpack.packb(state | {"version": FUTURE}), "one", SERIES, reference(), PLAN)


def left_out(name: str, read: Callable[[DriftStore], Any]) -> Callable[[Place], None]:
    """A case of a record that is not shown."""

    def case(place: Place) -> None:
        client, key = place.published.client, f"{{drift}}:{name}"
        record = RECORDS[name]
        listed = name in ("timeline", "closed", "quality")
        for stored in (future(record), record.model_dump_json()):
            client.rpush(key, stored) if listed else client.set(key, stored)
            known = read(place.drift)
            current = stored != future(record)
            assert known == (([record] if current else []) if listed else (record if current else None))

    return case


def left_out_histogram(place: Place) -> None:
    record = SeriesHistogram(name="x", labels=[], reference=[], now=[])
    place.published.client.hset("{drift}:histograms", "x", future(record))
    assert place.drift.histogram("x") is None


def left_out_note(place: Place) -> None:
    for cause, stored in (("a", future), ("b", Record.model_dump_json)):
        note = Acknowledgement(cause=cause, note="seen", wall_ts=1, alarms=[], level=0)
        place.published.client.hset("{drift}:acknowledged", cause, stored(note))
    assert place.drift.acknowledged().keys() == {"b"}


def refused_alarm(place: Place) -> None:
    place.published.client.hset("{drift}:open", ALARM.key, future(ALARM))
    with pytest.raises(VersionError, match="version 99"):
        place.drift.alarms(0)


def refused_counts(place: Place) -> None:
    place.published.client.hset("{drift}:counts", "0", future(PartitionCounts(last=1, events=1, series={})))
    with pytest.raises(VersionError, match="version 99"):
        place.drift.counts()


def dead_event(place: Place) -> None:
    fields, decode = {"userid": 7, "itemid": 1, "rating": 5, "ts": 1}, SCHEMA.events.decode
    assert decode(b"7", json.dumps(fields | {"schema_version": 1}).encode()) == decode(
        b"7", json.dumps(fields).encode()
    )
    with pytest.raises(EventError, match="schema_version must be 1, 2 for an erasure, or 3 for a change; resend"):
        decode(b"7", json.dumps(fields | {"schema_version": FUTURE}).encode())


def unreadable_letter(place: Place) -> None:
    letter = letter_of(Logged(0, 5, b"7", b"junk", (), 1.0), "why", 1 << 20)
    headers = tuple((name, b"99" if name == "schema" else value) for name, value in letter.headers)
    with pytest.raises(LetterError, match="unknown form"):
        read_letter(Logged(0, 0, letter.key, letter.value, headers, 1.0))


def skipped_message(place: Place) -> None:
    numbers = [np.array([5], dtype=np.int64)] * 5
    rows_before = np.zeros((1, len(SCHEMA.dense_columns)), dtype=np.float32)
    packed = msgpack.unpackb(FeatureBatch(0, *numbers, np.array([0.5]), rows_before).pack(SCHEMA))
    with pytest.raises(FeatureLogError, match="version ffffffff"):
        FeatureBatch.unpack(msgpack.packb([*packed[:-1], "ffffffff"]), SCHEMA)


def told_alarm(place: Place) -> None:
    with pytest.raises(VersionError):
        Alarm.read(future(ALARM))
    told = DriftUpdate(opened=[ALARM]).opened[0].model_dump_json()
    assert json.loads(told)["schema_version"] == Alarm.current_version()


def refused_run_folder(place: Place) -> None:
    (place.settings.state / runs.MANIFEST).write_text(json.dumps({"format": FUTURE, "unheard": "of"}))
    with pytest.raises(RunError, match=r"format 99, .* reads 3; run `reelstream train`"):
        runs.manifest(place.settings.state)


def refused_state_snapshot(place: Place) -> None:
    folder = place.settings.state / "snapshots" / "one"
    folder.mkdir(parents=True)
    (folder / state_snapshot.MANIFEST).write_text(json.dumps({"schema_version": FUTURE, "unheard": "of"}))
    with pytest.raises(DataError, match=r"version 99 .*go back to the release that wrote it"):
        state_snapshot.next_offsets(place.settings, "one", 2)


def untouched_heads(place: Place) -> None:
    other = place.settings.log_heads / "topic.v99"
    other.parent.mkdir()
    other.write_bytes(b"of a later release")
    heads = LogHeads(place.settings.log_heads, "topic", 1)
    assert heads.read() == {}
    heads.note({0: Mark(1, "00000000000000ff")})
    assert other.read_bytes() == b"of a later release"


def refused_generation(place: Place) -> None:
    place.put(LIVE, future(LiveGeneration(name="g2")))
    with pytest.raises(OtherVersion, match=r"go back to the release that wrote it"):
        Generations(place.published.client).live()


def unread_profiles(place: Place) -> None:
    place.published.begin_snapshot("a", SCHEMA)
    place.put(STATE, "ffffffff")
    assert (known := place.published.earlier_state()) is not None and known.fields == DECLARED
    place.put(FIELDS, future(DECLARED))
    assert (later := place.published.earlier_state()) is not None and later.fields is None


def refused_changed_item(place: Place) -> None:
    layer = Layer({1: KEPT})
    layer.apply(SCHEMA.events.item_change(1, 7, {"title": "Two"}))
    stored = pack_changed(layer.changed[1])
    assert unpack_changed(SCHEMA, 1, stored) == layer.changed[1]
    profiles = Profiles(place.published.client, "ratings", 1, schema=SCHEMA)
    later = msgpack.packb(msgpack.unpackb(stored) | {"schema_version": FUTURE})
    profiles.client.hset("{ratings-0}:catalogue", "1", later)
    profiles.client.set("{ratings-0}:applied", -1)
    for read in (partial(read_layers, profiles, {}), partial(view_shard, profiles, 0)):
        with pytest.raises(OtherVersion, match=r"changed item .*version 99 .*`reelstream rebuild`"):
            read()


def refused_waiting_events(place: Place) -> None:
    entries = [Waiting(5, 1.5, b"7", b"{}")]
    stored = pack_waiting(entries)
    assert unpack_waiting(stored) == entries
    profiles = Profiles(place.published.client, "ratings", 1, schema=SCHEMA)
    later = msgpack.packb(msgpack.unpackb(stored) | {"schema_version": FUTURE})
    profiles.client.hset("{ratings-0}:waiting", "9", later)
    profiles.client.set("{ratings-0}:applied", -1)
    for wanted in (Wanted(awaited=[9]), Wanted(brought=[9])):
        with pytest.raises(OtherVersion, match=r"waits for an item .*version 99 .*`reelstream rebuild`"):
            profiles.begin(0, wanted)


CASES: dict[str, Callable[[Place], None]] = {
    "{TOPIC-SHARD}:catalogue": refused_changed_item,
    "{TOPIC-SHARD}:waiting": refused_waiting_events,
    "reelstream:state:fields": unread_profiles,
    "reelstream:snapshot": refused_snapshot,
    "reelstream:schema": refused_schema,
    "reelstream:ids": refused_ids,
    "reelstream:metadata": refused_regression,
    "reelstream:run": refused_run,
    "reelstream:run:before": refused_previous_run,
    "reelstream:catalogue": refused_catalogue,
    "reelstream:others": refused_others,
    "reelstream:reference": refused_reference,
    "reelstream:items": unread_notice,
    "reelstream:publishing": undescribed_holder,
    "reelstream:generation": refused_generation,
    "{drift}:state": reset_monitor,
    "{drift}:now": left_out("now", DriftStore.now),
    "{drift}:trained": left_out("trained", DriftStore.trained),
    "{drift}:timeline": left_out("timeline", DriftStore.timeline),
    "{drift}:closed": left_out("closed", DriftStore.alarms),
    "{drift}:quality": left_out("quality", DriftStore.quality),
    "{drift}:histograms": left_out_histogram,
    "{drift}:acknowledged": left_out_note,
    "{drift}:open": refused_alarm,
    "{drift}:counts": refused_counts,
    "ratings": dead_event,
    "ratings.dead": unreadable_letter,
    "ratings.features": skipped_message,
    "drift.alarms": told_alarm,
    "runs/RUN/": refused_run_folder,
    "snapshots/NAME/": refused_state_snapshot,
    "log-heads/TOPIC.LAYOUT": untouched_heads,
}
"""By name of the row."""

ELSEWHERE = {
    "ALIAS-VERSION": "tests/system/test_future_release.py",
    "archive/": "tests/stores/test_archive_files.py",
    "models/MODEL/": "tests/system/test_verify_coverage.py",
    "checkpoints/TRAINING/": "tests/offline/test_run.py",
}
"""Rows whose case needs a running system, or a training."""

UNVERSIONED = ("plain", "none", "Kafka's", "Redis's", "Elasticsearch's", "Feast's", "the format of")


def versioned(row: Row) -> bool:
    return not row.version.startswith(UNVERSIONED) or row.name in CASES


@pytest.mark.parametrize("row", [row for row in rows() if versioned(row)], ids=lambda row: row.name)
def test_a_value_of_a_later_release_is_never_misread(row: Row, published: Published, tmp_path: Path) -> None:
    if row.name in ELSEWHERE:
        assert (Path(__file__).parents[2] / ELSEWHERE[row.name]).is_file()
        return
    case = refused_state if row.version.startswith("the state's") else CASES[row.name]
    case(Place(published, DriftStore(published.client), load(state_dir=tmp_path)))


def test_every_case_is_of_a_row_of_the_table() -> None:
    names = {row.name for row in rows()}
    assert {*CASES, *ELSEWHERE} <= names


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_row_says_what_becomes_of_other_versions(row: Row) -> None:
    assert all((row.content, row.version, row.older, row.newer))
    assert row.newer != "-" or not versioned(row) or row.name == "drift.alarms"


def test_an_error_about_a_version_is_one_line(published: Published) -> None:
    published.client.set(RUN, json.dumps(json.loads(RUN_NOW.model_dump_json()) | {"schema_version": "a\nb" * 100}))
    with pytest.raises(OtherVersion) as refused:
        published.run()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250
