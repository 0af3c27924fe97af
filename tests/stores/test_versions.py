"""State and runs of other counts or features are recognised and refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgpack
import numpy as np
import pytest

from api.live import Follower
from drift import Reference, ReferenceError, Series
from features import Profile, Schema
from features.state_fields import StateFields
from features.version import FIRST_FEATURE_LOG, FIRST_STATE, ROWS_OF_EVENTS, STATE_LAYOUT
from offline import runs
from offline.errors import DataError, RunError
from offline.state import state_snapshot
from settings import Settings, load
from stores import FeatureBatch, LiveRun, OtherVersion, Profiles, Published, Snapshot, Unreadable, Wanted
from stores.kafka.feature_log import FeatureLogError
from stores.redis.earlier_profiles import EarlierProfiles
from stores.redis.earlier_state import EarlierState
from stores.redis.packing import pack_profile, unpack_profile
from stores.redis.published import FIELDS, STATE
from stores.redis.published_runs import RUN
from tests.movielens import SCHEMA, item

SNAPSHOT = Snapshot(data_hash="a", created="2026-01-01T00:00:00+00:00", events=1, users=1, items=1)
FEWER = list(SCHEMA.dense_columns[1:])
DECLARED = StateFields.declared(SCHEMA)


def profile(userid: int, **fields: Any) -> Profile:
    return replace(SCHEMA.profile(userid), **fields)


def live_run(dense: list[str]) -> LiveRun:
    return LiveRun(run="one", version=1, index="items-1", dim=3, history=10, quality=0.1, dense=dense)


def test_a_state_of_other_counts_is_refused_with_what_to_do(published: Published) -> None:
    published.begin_snapshot("a", SCHEMA)
    published.require_state_version()
    published.client.set(STATE, "00000000")
    with pytest.raises(OtherVersion, match="version 00000000, .* has " + SCHEMA.state_version) as begun:
        published.require_state_version()
    published.set_snapshot(SNAPSHOT)
    with pytest.raises(OtherVersion, match="run `reelstream rebuild`") as whole:
        published.require_state_version()
    assert "\n" not in str(begun.value) + str(whole.value)


def test_a_state_from_before_there_were_versions_is_taken_for_what_it_is(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.set_snapshot(SNAPSHOT)
    with pytest.raises(OtherVersion, match=f"version {FIRST_STATE}, this release has {SCHEMA.state_version}"):
        published.require_state_version()
    monkeypatch.setattr("stores.redis.published.FIRST_STATE", SCHEMA.state_version)
    published.require_state_version()


def test_where_there_is_no_state_any_version_may_begin(published: Published) -> None:
    published.begin_snapshot("a", SCHEMA)
    published.client.set(STATE, "00000000")
    published.delete_all()
    published.require_state_version()
    published.begin_snapshot("a", SCHEMA)
    published.require_state_version()
    assert published.client.get(STATE) == SCHEMA.state_version.encode()


def test_a_profile_of_fewer_fields_is_not_read_with_defaults() -> None:
    values = msgpack.unpackb(pack_profile(profile(7)))
    with pytest.raises(Unreadable, match="other fields"):
        unpack_profile(SCHEMA, msgpack.packb(values[:-1]))


def test_a_live_run_of_other_features_is_refused_with_their_names() -> None:
    live_run(list(SCHEMA.dense_columns)).require_columns(SCHEMA)
    with pytest.raises(OtherVersion, match=r"trained on other features .*it lacks user_log_n.*`reelstream train"):
        live_run(FEWER).require_columns(SCHEMA)


def test_a_live_run_from_before_they_named_their_features_is_taken_for_what_it_is() -> None:
    stored = live_run([]).model_dump(exclude={"dense"})
    assert LiveRun.model_validate(stored).dense == list(SCHEMA.dense_columns)


def test_a_run_folder_of_other_features_is_refused_with_their_names(tmp_path: Path) -> None:
    manifest = runs.Manifest(
        format=runs.FORMAT,
        run="one",
        created=datetime.now(UTC),
        data_hash="a",
        seed=0,
        train={},
        input_schema=runs.InputSchema(ids=[], dense=[*SCHEMA.dense_columns, "user_hours"], dim=3, history=10),
        metrics={},
        seconds={},
        peak_memory_mb=0.0,
        files={},
    )
    (tmp_path / runs.MANIFEST).write_text(manifest.model_dump_json(by_alias=True))
    (tmp_path / runs.SCHEMA).write_text(SCHEMA.to_json())
    with pytest.raises(RunError, match=r"it has user_hours.*run `reelstream train`") as refused:
        runs.manifest(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_reference_of_other_features_is_refused_with_their_names() -> None:
    stored: dict[str, dict[str, object]] = {"features": {}, "labels": {}, "scores": {}, "quality": {}}
    with pytest.raises(ReferenceError, match=r"it lacks user_log_n, .*train and publish again"):
        Reference.from_json(Series(SCHEMA), stored)


def test_a_message_of_the_feature_log_of_other_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.zeros((1, len(SCHEMA.dense_columns)), dtype=np.float32)
    numbers = [np.array([5], dtype=np.int64)] * 5
    batch = FeatureBatch(0, *numbers, np.array([0.5]), row)
    packed = batch.pack(SCHEMA)
    assert FeatureBatch.unpack(packed, SCHEMA).rows.tolist() == row.tolist()
    before = msgpack.packb(msgpack.unpackb(packed)[:-1])
    with pytest.raises(FeatureLogError, match=f"of the version {FIRST_FEATURE_LOG}, not {SCHEMA.feature_log_version}"):
        FeatureBatch.unpack(before, SCHEMA)
    other = Schema(SCHEMA.dataset)
    monkeypatch.setattr(other, "feature_log_version", "11111111")
    for message in (packed, before):
        with pytest.raises(FeatureLogError, match=r"its features are of the version [0-9a-f]{8}, not 11111111"):
            FeatureBatch.unpack(message, other)


def earlier(published: Published, fields: StateFields | None) -> EarlierProfiles:
    """A state of another version with a user of today's profile."""
    published.begin_snapshot("a", SCHEMA)
    published.set_snapshot(SNAPSHOT)
    published.client.set(STATE, "00000000")
    if fields is None:
        published.client.delete(FIELDS)
    else:
        published.client.set(FIELDS, fields.model_dump_json())
    profiles, kept = Profiles(published.client, "ratings", 8), profile(7, n=2, likes=2, recent=[(1, 1, 5), (2, 2, 5)])
    profiles.write_shard(profiles.shard_of(7), {7: kept}, {7: {1: ((1, 5),), 2: ((2, 5),)}}, {}, [])
    state = published.earlier_state()
    assert state is not None and state.version == "00000000"
    return EarlierProfiles(profiles, state)


@pytest.mark.parametrize(
    ("layout", "recent"), [(ROWS_OF_EVENTS, [(1, 1, 5), (2, 2, 5)]), (STATE_LAYOUT, [(1, 1), (1, 2), b"\5\5"])]
)
def test_a_profile_of_a_state_with_other_counts_is_read_by_the_names_of_its_fields(
    published: Published, layout: int, recent: list[object]
) -> None:
    profiles = earlier(published, DECLARED)
    tag = f"{profiles.tag(profiles.shard_of(7))}:profile:7"
    names = ["likes", "of_another_release", "userid", "recent"]
    published.client.set(FIELDS, StateFields(layout=layout, profile=names).model_dump_json())
    published.client.set(tag, cast(bytes, msgpack.packb([2, "?", 7, recent])))
    profiles = EarlierProfiles(profiles, cast(EarlierState, published.earlier_state()))
    found, seen, applied, _ = profiles.profile(7)
    assert found == profile(7, likes=2, recent=[(1, 1, 5), (2, 2, 5)])
    assert sorted(seen) == [1, 2] and applied == -1
    published.client.set(tag, cast(bytes, msgpack.packb([2, "?", 7])))
    with pytest.raises(Unreadable):
        profiles.profile(7)


@pytest.mark.parametrize("fields", [None, StateFields(layout=STATE_LAYOUT + 1, profile=DECLARED.profile)])
def test_of_a_state_that_is_packed_in_another_way_only_the_seen_items_are_read(
    published: Published, fields: StateFields | None
) -> None:
    profiles = earlier(published, fields)
    found, seen, _, _ = profiles.profile(7)
    assert not profiles.readable and found is None and seen == {1: True, 2: True}


def test_nobody_folds_into_a_state_of_another_version(published: Published) -> None:
    with pytest.raises(OtherVersion, match="run `reelstream rebuild`"):
        earlier(published, DECLARED).begin(0, Wanted())


def test_the_api_serves_from_a_state_of_other_counts_and_says_that_nobody_follows_it(
    redis: Settings, published: Published
) -> None:
    published.set_catalogue({1: item(1, "One", 1994, (0,))})
    published.client.set(RUN, live_run(list(SCHEMA.dense_columns)).model_dump_json())
    earlier(published, DECLARED)
    started = Follower(redis)
    started._look()
    live = started.require()
    assert started.waits_for is None
    assert live.profiles.profile(7)[0] is not None
    assert "00000000" in (live.not_followed or "") and started.limited_by == live.not_followed
    published.begin_snapshot("b", SCHEMA)
    published.set_snapshot(SNAPSHOT.model_copy(update={"created": "2026-02-01T00:00:00+00:00"}))
    started._look()
    assert started.require().not_followed is None and started.limited_by is None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(state_dir=tmp_path)


def test_a_snapshot_file_of_other_profiles_is_refused_with_what_to_do(settings: Settings) -> None:
    folder = settings.state / "snapshots" / "one"
    folder.mkdir(parents=True)
    fields = {"name": "one", "created": "", "data_hash": "a", "cluster": "c", "topic": "t", "shards": []}
    (folder / state_snapshot.MANIFEST).write_text(json.dumps(fields))
    assert state_snapshot.next_offsets(settings, "one", 2) == {}
    (folder / state_snapshot.MANIFEST).write_text(json.dumps(fields | {"profiles_version": "00000000"}))
    with pytest.raises(DataError, match=r"version 00000000, .*go back to the release that wrote it") as refused:
        state_snapshot.next_offsets(settings, "one", 2)
    assert "\n" not in str(refused.value)


def test_the_api_keeps_its_run_when_one_of_other_features_goes_live_and_a_new_process_does_not_rank_with_it(
    redis: Settings, published: Published
) -> None:
    published.set_catalogue({1: item(1, "One", 1994, (0,))})
    published.begin_snapshot("a", SCHEMA)
    published.set_snapshot(SNAPSHOT)
    published.client.set(RUN, live_run(list(SCHEMA.dense_columns)).model_dump_json())
    running, started = (Follower(redis) for _ in range(2))
    running.look()
    published.client.set(RUN, live_run(FEWER).model_copy(update={"run": "two"}).model_dump_json())
    running._look()
    started._look()
    assert running.require().run.run == "one"
    assert "run two was trained on other features" in (running.waits_for or "")
    live = started.require()
    assert live.run.run == "two" and started.waits_for is None
    assert "run two was trained on other features" in (live.not_ranked or "")
    started._look()
    assert started.require() is live
