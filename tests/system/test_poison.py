"""No record in any topic, and no value in any store, can end ingestion."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
import requests

import servers
from drift.records import Alarm
from features import Event
from producers import dead_events
from stores import DriftStore
from tests.movielens import encode
from tests.poison import COMPRESSIONS, FEATURE_LOG, HEADERS, send_raw
from tests.polling import until
from tests.system.conftest import System

USERS = iter(range(780_000, 790_000))


@pytest.fixture(scope="module", autouse=True)
def anew(system: System) -> Iterator[None]:
    """Leave no poison to the tests that follow: what drift missed meanwhile stays missing in its counts."""
    yield
    system.start_over()


@pytest.fixture
def worker(system: System) -> Iterator[int]:
    """The worker's process, which must be the same afterwards."""
    system.wait()
    pid = servers.pid(system.settings, "worker-0")
    yield pid
    fold_one(system)
    assert servers.pid(system.settings, "worker-0") == pid


def fold_one(system: System) -> tuple[int, int]:
    """See that a rating sent now is folded within 10 s; its partition and offset."""
    event = Event(next(USERS), system.catalogue_items()[0], 5, 1000)
    system.send_events([event])
    system.wait(10)
    assert system.profiles.profile(event.userid)[0] is not None
    partition = system.partition(event.userid)
    offset = system.profiles.visible_offsets()[partition]
    assert offset is not None
    return partition, offset


def troubles(system: System) -> dict[str, str]:
    port = system.settings.stream.metrics_port
    return requests.get(f"http://127.0.0.1:{port}/health", timeout=10).json()["troubles"]


def events_of(store: DriftStore) -> int:
    """Events that drift has counted; 0 while what is stored cannot be read."""
    try:
        return sum(each.events for each in store.counts().values())
    except (ValueError, redis.ResponseError):
        return 0


def is_counted(store: DriftStore, partition: int, offset: int) -> bool:
    """Say whether drift has counted an event; its counts as a whole begin anew with a monitor that begins anew."""
    counts = store.counts().get(partition)
    return counts is not None and counts.last >= offset


def position_of(store: DriftStore) -> int:
    """Position of drift in the feature log; -1 while what is stored cannot be read."""
    try:
        return store.position()
    except (ValueError, redis.ResponseError):
        return -1


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_any_name_and_value_stop_nothing(system: System, worker: int, name: str) -> None:
    event = Event(next(USERS), system.catalogue_items()[0], 5, 1000)
    key, value = encode(event)
    send_raw(
        system.settings.kafka, system.settings.kafka.topic, system.partition(event.userid), key, value, HEADERS[name]
    )
    system.wait(10)
    assert system.profiles.profile(event.userid)[0] is not None


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_record_compressed_in_any_way_is_folded(system: System, worker: int, compression: str) -> None:
    event = Event(next(USERS), system.catalogue_items()[0], 5, 1000)
    kafka, where = system.settings.kafka, system.partition(event.userid)
    send_raw(kafka, kafka.topic, where, *encode(event), compression=compression)
    system.wait(10)
    assert system.profiles.profile(event.userid)[0] is not None


@pytest.mark.parametrize("value", FEATURE_LOG)
def test_junk_in_the_feature_log_is_reported_and_skipped(system: System, worker: int, value: bytes | None) -> None:
    store = DriftStore(system.profiles.client)
    before = store.position()
    send_raw(system.settings.kafka, system.settings.kafka.features_topic, 0, b"0", value)
    until(lambda: store.position() > before)
    partition, offset = fold_one(system)
    until(lambda: is_counted(store, partition, offset), 60)
    until(lambda: "feature log" in troubles(system).get("drift", ""))
    # Another test may have put junk among the alarms.
    values = [record.value or b"" for record in system.log(system.settings.kafka.alarms_topic)]
    alarms = [Alarm.model_validate_json(value) for value in values if value.startswith(b"{")]
    assert any(alarm.detector == "failure" for alarm in alarms)
    # It closes with a batch without junk, and the one before may have been counted together with it.
    fold_one(system)
    until(lambda: all(alarm.detector != "failure" for alarm in store.alarms(0)))


@pytest.mark.parametrize("value", [None, b"junk"])
def test_junk_among_the_alarms_stops_nothing(system: System, worker: int, value: bytes | None) -> None:
    send_raw(system.settings.kafka, system.settings.kafka.alarms_topic, 0, b"x", value)
    fold_one(system)
    assert system.get("/drift").status_code == 200


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", b"junk"),
        ("state", b"\x80"),
        ("position", b"junk"),
        ("open", b"a string"),
        ("timeline", b"a string"),
        ("counts", b"a string"),
    ],
)
def test_drift_state_that_cannot_be_read_is_reset(system: System, key: str, value: bytes) -> None:
    servers.stop(system.settings, ["workers"])
    log = system.settings.state / "logs" / "worker-0.log"
    before = log.stat().st_size
    store = DriftStore(system.profiles.client)
    earlier = Alarm(
        series="label", detector="adwin", opened=1, opened_wall_ts=time.time(), opened_event_ts=1000, value=0.5
    )
    store.client.delete("{drift}:open")
    store.client.hset("{drift}:open", earlier.key, earlier.model_dump_json())
    store.client.delete(f"{{drift}}:{key}")
    store.client.set(f"{{drift}}:{key}", value)
    servers.start(system.settings, ["workers"])
    # As many as end a window, which is when the timeline is written.
    items = system.catalogue_items()
    system.send_events([Event(next(USERS), items[n % len(items)], 1 + n % 5, 1000 + n) for n in range(600)])
    system.wait(60)
    fold_one(system)
    until(lambda: "drift" in troubles(system), 90)

    def reported() -> bool:
        # In the health, junk of another test may follow, which the reset has counted again.
        lines = log.read_bytes()[before:].decode().splitlines()
        return any("drift: " in line and ("reset" in line or "cannot be read" in line) for line in lines)

    # The supervisor writes the log, a moment after the health tells.
    until(reported, 60)
    # It is reported before it is reset, which the next batch does.
    until(lambda: position_of(store) >= 0, 60)
    until(lambda: events_of(store) > 0, 90)
    until(lambda: earlier.key not in {alarm.key for alarm in store.alarms(0)}, 60)


def test_a_profile_that_cannot_be_read_is_reported_and_its_events_come_back_once_it_is_mended(
    system: System, worker: int
) -> None:
    user, item = next(USERS), system.catalogue_items()[1]
    system.send_events([Event(user, item, 5, 1000)])
    system.wait(10)
    key = f"{system.profiles.tag(system.partition(user))}:profile:{user}"
    good = system.profiles.client.get(key)
    system.profiles.client.set(key, b"\xc1 junk")
    try:
        system.send_events([Event(user, item, 1, 2000)])
        system.wait(10)
        dead = [each for each in dead_events(system.settings.kafka) if each.key == str(user).encode()]
        assert [each.reason for each in dead] == ["the stored profile of the user cannot be read"]
        assert f"user {user}" in troubles(system)["stored values"]
        answer = system.rec(userid=user, size=5)
        assert answer["degraded"] == ["redis"]
        assert len(answer["item_list"]) == 5
        assert system.verify().differences > 0
    finally:
        system.profiles.client.set(key, good)
