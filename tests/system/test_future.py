"""Events from the future are dead letters, by the clock of Kafka alone."""

from __future__ import annotations

import time
from contextlib import closing

from kafka import KafkaAdminClient

from features import Event
from producers import dead_events
from stores import ensure_topics, producer
from stores.kafka.client import connected
from stores.kafka.topics import config_of, set_config
from tests.movielens import encode
from tests.system.conftest import System

DAY = 86_400


def test_one_dislike_at_the_end_of_time_changes_nothing(system: System) -> None:
    item, *_ = system.catalogue_items()
    user = 790_001
    system.wait_for_items()
    before = [each["itemid"] for each in system.rec(userid=799_999, size=20)["item_list"]]
    record = *encode(Event(user, item, 1, 2**32 - 1)), system.partition(user)
    system.send([record])
    system.wait()
    assert system.profiles.profile(user)[0] is None
    (dead,) = [each for each in dead_events(system.settings.kafka) if each.key == b"790001"]
    assert "max_future_s" in dead.reason
    time.sleep(2 * system.settings.stream.items_every_s + 1)
    assert [each["itemid"] for each in system.rec(userid=799_999, size=20)["item_list"]] == before
    assert system.verify().differences == 0


def test_a_client_that_claims_to_send_in_the_future_is_not_believed(system: System) -> None:
    item, *_ = system.catalogue_items()
    user, ts = 790_002, int(time.time()) + 10 * DAY
    key, value = encode(Event(user, item, 5, ts))
    with closing(producer(system.settings.kafka)) as client:
        client.send(
            system.settings.kafka.topic, key=key, value=value, partition=system.partition(user), timestamp_ms=1000 * ts
        ).get(timeout=10)
    system.wait()
    assert system.profiles.profile(user)[0] is None


def test_an_event_within_the_limit_counts(system: System) -> None:
    item, *_ = system.catalogue_items()
    system.send_events([Event(790_003, item, 5, int(time.time()) + DAY - 600)])
    system.wait()
    assert system.profiles.profile(790_003)[0] is not None
    assert system.verify().differences == 0


def test_a_rating_from_the_future_is_refused_at_once(system: System) -> None:
    item, *_ = system.catalogue_items()
    body = {"userid": 790_004, "itemid": item, "rating": 1, "ts": int(time.time()) + 2 * DAY}
    answer = system.post("/ratings", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("ts: must be at most 86400 s later than now")
    assert system.post("/ratings", body | {"ts": int(time.time()) + DAY - 600}).status_code == 202


def test_a_topic_from_before_gets_append_time_and_small_segments_and_keeps_its_configuration(system: System) -> None:
    topic = system.settings.kafka.topic
    with closing(connected(KafkaAdminClient, system.settings.kafka)) as admin:
        set_config(admin, topic, message_timestamp_type="CreateTime", segment_bytes=str(1 << 30))
        ensure_topics(system.settings.kafka)
        found = config_of(admin, topic)
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["segment.bytes"] == str(system.settings.kafka.segment_mb << 20)
    assert found["retention.ms"] == "-1"


def test_a_later_rating_in_the_same_second_counts_though_it_is_lower(system: System) -> None:
    item = system.catalogue_items()[3]
    for rating in (5, 2):
        last = system.rate(790_005, item, rating, ts=1_000_000_000)
    system.rec(userid=790_005, after={key: last[key] for key in ("partition", "offset")})
    profile = system.profiles.profile(790_005)[0]
    assert profile is not None
    assert profile.recent == [(1_000_000_000, item, 2)]
    assert system.verify().differences == 0
