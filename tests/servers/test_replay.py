"""A replay that continues on a real Kafka, after records of it were refused, trimmed, erased or added by others."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from producers import Pace, Recording, Report, replay
from producers.present import HEADER
from settings import Settings
from stores import Log, LogError, partition_of, producer
from stores.kafka.record import GONE
from tests import shop
from tests.movielens import SCHEMA, rated
from tests.servers.conftest import delete_before, two_partitions

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

encode = SCHEMA.events.encode
RECORDING = Recording("x", SCHEMA, [rated(userid, 1, 5, ts) for ts, userid in enumerate([*range(1, 21)] * 5)])


@pytest.fixture
def settings(kafka_server: Settings, redis: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Kafka with empty topics of two partitions."""
    with two_partitions(kafka_server, redis, tmp_path) as made:
        yield made


def replayed(settings: Settings, recording: Recording = RECORDING) -> Report:
    return replay(settings.kafka, recording, pace=Pace.MAX, stopping=threading.Event(), progress=lambda report: None)


def append(settings: Settings, places: Sequence[int]) -> None:
    """Write the events at these places as the replay does."""
    with closing(producer(settings.kafka)) as client:
        for place in places:
            key, value = encode(RECORDING.events[place])
            client.send(settings.kafka.topic, key=key, value=value, headers=RECORDING.headers_of(place))
        client.flush()


def append_header(settings: Settings, name: str, value: bytes, partition: int = 0) -> None:
    with closing(producer(settings.kafka)) as client:
        client.send(settings.kafka.topic, value=b"", headers=[(name, value)], partition=partition)
        client.flush()


def values(settings: Settings) -> list[bytes | None]:
    with closing(Log(settings.kafka)) as log:
        return [record.value for some in log.read_to(log.ends()) for record in some]


def test_events_of_a_batch_that_was_refused_before_one_that_was_written_are_sent_again(settings: Settings) -> None:
    refused = range(30, 50)
    append(settings, [*range(30), *range(50, 80)])
    done = replayed(settings)
    assert (done.present, done.sent) == (60, len(refused) + 20)
    assert sorted(filter(None, values(settings))) == sorted(encode(event)[1] for event in RECORDING.events)
    assert replayed(settings).sent == 0


def test_a_user_who_was_erased_from_the_log_does_not_come_back(settings: Settings) -> None:
    erased = RECORDING.events[0].userid
    append(settings, [place for place in range(60) if RECORDING.events[place].userid != erased])
    partition = partition_of(erased, 2)
    append_header(settings, GONE, b"", partition)
    after = [event for event in RECORDING.events[60:] if event.userid == erased]
    assert replayed(settings).sent == 40
    found = values(settings)
    assert [value for value in found if value in {encode(each)[1] for each in after}] == [
        encode(event)[1] for event in after
    ]
    assert encode(RECORDING.events[0])[1] not in found


def test_a_user_who_was_erased_after_a_gap_was_filled_does_not_come_back(settings: Settings) -> None:
    erased = RECORDING.events[0].userid
    kept = [place for place in range(80) if RECORDING.events[place].userid != erased]
    append(settings, [place for place in kept if place not in range(30, 50)])
    append(settings, [place for place in kept if place in range(30, 50)])
    append_header(settings, GONE, b"", partition_of(erased, 2))
    assert replayed(settings).sent == 20
    again = [encode(event)[1] for event in RECORDING.events[:80] if event.userid == erased]
    assert not {*values(settings)} & {*again}


def test_events_before_the_beginning_of_a_trimmed_log_without_an_archive_are_not_sent_again(settings: Settings) -> None:
    append(settings, range(60))
    with closing(Log(settings.kafka)) as log:
        ends = log.ends()
    delete_before(settings, {partition: end - 1 for partition, end in ends.items()})
    done = replayed(settings)
    assert (done.present, done.sent) == (60, 40)


@pytest.mark.parametrize(
    "value", [b"x:abc", b"x:-1", b"x:", b"x:1000000", b"x:\xb2", b"x:" + b"9" * 5000], ids=lambda value: repr(value[:9])
)
def test_a_place_that_no_replay_has_does_not_stop_one(settings: Settings, value: bytes) -> None:
    append(settings, range(10))
    append_header(settings, HEADER, value)
    assert replayed(settings).sent == 90


def test_events_of_any_type_are_replayed_once_in_the_order_of_time_for_each_user(settings: Settings) -> None:
    users, codes = [f"user {number}" for number in range(20)], (shop.VIEW, shop.CART, shop.PURCHASE)
    events = [shop.event(users[ts % 20], f"item {ts % 7}", codes[ts % 3], ts) for ts in range(100)]
    recording = Recording("shop", shop.SCHEMA, events)
    assert replayed(settings, recording.first(60)).sent == 60
    done = replayed(settings, recording)
    assert (done.present, done.sent) == (60, 40)
    with closing(Log(settings.kafka)) as log:
        records = [record for some in log.read_to(log.ends()) for record in some]
    read = [shop.SCHEMA.events.decode(record.key, record.value) for record in records]
    assert all(partition_of(event.userid, 2) == record.partition for event, record in zip(read, records, strict=True))
    for userid in users:
        assert [event for event in read if event.userid == userid] == [
            event for event in events if event.userid == userid
        ]


def test_a_replay_of_other_data_is_refused(settings: Settings) -> None:
    append_header(settings, HEADER, b"y:1")
    append(settings, range(10))
    with pytest.raises(LogError, match="replay of other data"):
        replayed(settings)
