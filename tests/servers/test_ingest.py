"""Appending the events of requests to a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.appending import Appending
from api.ingest import Ingest
from api.log_watch import LogWatch
from settings import Settings
from stores import Log, Profiles, Unreachable, connect, delete_topics, ensure_topics
from tests.movielens import SCHEMA, rated
from tests.servers.conftest import two_partitions

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

EVENTS = [rated(userid, 1, 5, ts=userid) for userid in range(1, 21)]


@pytest.fixture
def settings(kafka_server: Settings, redis: Settings, tmp_path: Path) -> Iterator[Settings]:
    with two_partitions(kafka_server, redis, tmp_path) as made:
        yield made


@pytest.fixture
def ingest(settings: Settings) -> Iterator[Ingest]:
    with connect(settings.redis) as client:
        client.flushdb()
        profiles = Profiles(client, settings.kafka.topic, 2, schema=SCHEMA)
        appending = Appending(partitions=2)
        log_watch = LogWatch(settings, lambda: profiles, lambda: appending)
        with closing(Ingest(settings.kafka, lambda: appending, log_watch, timeout_s=20.0, max_future_s=1.0)) as made:
            yield made


def users_in(settings: Settings) -> list[Any]:
    with closing(Log(settings.kafka)) as log:
        records = [record for batch in log.read_to(log.ends()) for record in batch]
    return sorted(SCHEMA.events.decode(record.key, record.value).userid for record in records)


def forget(ingest: Ingest) -> None:
    """Have Kafka and the producer disagree about the last batch, as after Kafka has lost its newest records."""
    sequences = ingest._producer._transaction_manager._sequence_numbers
    assert sequences
    for partition in sequences:
        sequences[partition] += 7


def test_events_that_kafka_refuses_for_its_producer_are_sent_again_once_each(
    settings: Settings, ingest: Ingest
) -> None:
    assert len(ingest.send(SCHEMA.events, EVENTS[:10])) == 10
    forget(ingest)
    accepted = ingest.send(SCHEMA.events, EVENTS[10:])
    assert [each.ts for each in accepted] == [event.ts for event in EVENTS[10:]]
    assert len({(each.partition, each.offset) for each in accepted}) == 10
    assert users_in(settings) == [*range(1, 21)]


def test_a_producer_goes_on_with_a_topic_that_was_created_again(settings: Settings, ingest: Ingest) -> None:
    ingest.send(SCHEMA.events, EVENTS)
    delete_topics(settings.kafka)
    ensure_topics(settings.kafka)
    for event in EVENTS:
        ingest.send(SCHEMA.events, [event])
    assert users_in(settings) == [*range(1, 21)]


def test_an_event_that_kafka_does_not_acknowledge_is_an_error_that_says_to_send_it_again(
    settings: Settings, ingest: Ingest
) -> None:
    away = settings.kafka.model_copy(update={"bootstrap": "127.0.0.1:1"})
    none = Ingest(away, ingest._appending, ingest._log_watch, timeout_s=0.5, max_future_s=1.0)
    with closing(none), pytest.raises(Unreachable, match=r"did not acknowledge the event .* send it again with ts 1$"):
        none.send(SCHEMA.events, EVENTS[:1])
