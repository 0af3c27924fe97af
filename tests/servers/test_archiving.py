"""Archiving on a real Kafka: each record once, of its own log alone, nothing lost in silence; and reading it back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer

from api.pages.tail import LogTail
from settings import Settings
from stores import Log, LogError, Logged, delete_topics, ensure_topics, producer
from stores.archive.archive import Archive
from stores.archive.whole_log import WholeLog
from stores.errors import ArchiveError
from stores.kafka.client import connected
from stream.archive.archiver import Archiver
from tests.archives import archive_all, archived
from tests.movielens import SCHEMA, rated
from tests.poison import HEADERS, send_raw
from tests.polling import until
from tests.servers.conftest import delete_before, two_partitions

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture
def settings(kafka_server: Settings, redis: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Kafka with empty topics of two partitions, an empty archive with small files, and Redis."""
    with two_partitions(kafka_server, redis, tmp_path, REELSTREAM_ARCHIVE__EVENTS="40") as made:
        yield made


def append(settings: Settings, count: int, partition: int = 0, size: int = 10) -> None:
    with closing(producer(settings.kafka)) as client:
        for number in range(count):
            key, value = (
                (None if number % 7 == 0 else b"%d" % number),
                (None if number % 7 and number % 5 == 0 else os.urandom(size)),
            )
            headers = [("replay", b"x:%d" % number), ("empty", b"")] if number % 3 else None
            client.send(settings.kafka.topic, key=key, value=value, headers=headers, partition=partition)
        client.flush()


def in_transaction(settings: Settings, count: int, *, commit: bool) -> None:
    options = {"acks": "all", "enable_idempotence": True, "transactional_id": "test"}
    with closing(connected(KafkaProducer, settings.kafka, **options)) as client:
        client.init_transactions()
        client.begin_transaction()
        for number in range(count):
            client.send(settings.kafka.topic, value=b"t%d" % number, partition=0)
        client.flush()
        client.commit_transaction() if commit else client.abort_transaction()


def read(open_log: Callable[[], Log | WholeLog], offsets: dict[int, int] | None = None) -> list[Logged]:
    """All records, by partition in the order in which they were delivered."""
    with closing(open_log()) as log:
        if offsets is not None:
            log.seek(offsets)
        records = [record for batch in log.read_to(log.ends()) for record in batch]
    return sorted(records, key=lambda record: record.partition)


def in_kafka(settings: Settings) -> list[Logged]:
    return read(lambda: Log(settings.kafka))


def in_whole_log(settings: Settings) -> list[Logged]:
    return read(lambda: WholeLog(settings), {0: 0, 1: 0})


def test_the_archive_holds_what_the_log_holds_and_a_second_run_adds_only_what_is_new(settings: Settings) -> None:
    append(settings, 100)
    append(settings, 30, partition=1)
    for headers in HEADERS.values():
        send_raw(settings.kafka, settings.kafka.topic, 1, None, b"any", headers)
    assert archive_all(settings) == 4
    assert archived(settings) == in_kafka(settings)
    assert any(name == "\\xff\\xfe" for record in archived(settings) for name, _ in record.headers)
    assert archive_all(settings) == 0
    append(settings, 5)
    assert archive_all(settings) == 1
    assert archived(settings) == in_kafka(settings)


def test_what_waits_is_written_when_a_file_is_full_or_the_newest_one_is_old(settings: Settings) -> None:
    archive = Archive(settings.archive_folder)
    with closing(Archiver(settings)) as archiver:
        append(settings, 95)
        assert archiver.write(everything=False) == 2
        append(settings, 10)
        assert archiver.write(everything=False) == 0
        newest = archive.path(archive.files(0)[-1])
        os.utime(newest, (0, 0))
        assert archiver.write(everything=False) == 1
        append(settings, 40)
        assert archiver.write(everything=False) == 1
    assert archived(settings) == in_kafka(settings)


def test_transactions_leave_holes_that_are_no_loss(settings: Settings) -> None:
    for commit in (True, False, True, False):
        in_transaction(settings, 15, commit=commit)
    append(settings, 3)
    archive_all(settings)
    assert archived(settings) == in_kafka(settings)
    assert len(archived(settings)) == 33
    assert Archive(settings.archive_folder).bounds(0) == (0, 67)
    assert in_whole_log(settings) == in_kafka(settings)


def test_events_deleted_before_they_were_archived_stop_the_archive(settings: Settings) -> None:
    append(settings, 50)
    archive_all(settings)
    append(settings, 50)
    delete_before(settings, {0: 60})
    with pytest.raises(ArchiveError, match="ends at offset 50, but the log begins at offset 60"):
        archive_all(settings)
    assert Archive(settings.archive_folder).bounds(0) == (0, 50)


def test_another_log_is_never_archived_into_the_same_archive(settings: Settings) -> None:
    append(settings, 50)
    archive_all(settings)
    before = archived(settings)
    delete_topics(settings.kafka)
    ensure_topics(settings.kafka)
    append(settings, 90)
    with pytest.raises(ArchiveError, match="holds another log"):
        archive_all(settings)
    with pytest.raises(ArchiveError, match="holds another log"):
        WholeLog(settings)
    assert archived(settings) == before


def test_a_trimmed_log_reads_whole_from_the_archive_on(settings: Settings) -> None:
    append(settings, 100)
    append(settings, 20, partition=1)
    whole = in_kafka(settings)
    archive_all(settings)
    delete_before(settings, {0: 77, 1: 20})
    append(settings, 9)
    assert [each.offset for each in in_kafka(settings) if each.partition == 0] == list(range(77, 109))
    new = [each for each in in_kafka(settings) if each.offset >= 100]
    assert in_whole_log(settings) == sorted([*whole, *new], key=lambda each: each.partition)
    assert in_whole_log(settings) == sorted(archived(settings) + new, key=lambda each: each.partition)
    assert read(lambda: WholeLog(settings), {0: 50, 1: 19}) == [
        each for each in in_whole_log(settings) if each.offset >= (50, 19)[each.partition]
    ]
    # Before it begins with the trimmed part, it continues there.
    assert archive_all(settings) == 1
    assert archived(settings) == in_whole_log(settings)


def test_what_neither_archive_nor_log_holds_is_refused(settings: Settings) -> None:
    append(settings, 100)
    delete_before(settings, {0: 30})
    archive_all(settings)
    assert Archive(settings.archive_folder).bounds(0) == (30, 100)
    with pytest.raises(LogError, match="begin at offset 30, but are read from offset 0"):
        in_whole_log(settings)
    assert len(read(lambda: WholeLog(settings), {0: 30, 1: 0})) == 70


def test_a_log_that_is_trimmed_while_it_is_read_is_read_on_from_the_archive(settings: Settings) -> None:
    append(settings, 60, size=100_000)
    whole = in_kafka(settings)
    with closing(WholeLog(settings)) as log:
        records: list[Logged] = []
        for batch in log.read_to(log.ends()):
            records += batch
            if Archive(settings.archive_folder).bounds(0) is None:
                assert len(records) < 59
                archive_all(settings)
                delete_before(settings, {0: 59})
        assert len(records) == len({record.offset for record in records})
    assert records == whole


def test_the_page_of_the_stream_shows_what_is_left_of_a_trimmed_log(settings: Settings) -> None:
    with closing(producer(settings.kafka)) as client:
        for itemid in range(1, 11):
            key, value = SCHEMA.events.encode(rated(1, itemid, 5, 1_000_000_000))
            client.send(settings.kafka.topic, key=key, value=value, partition=0)
        client.flush()
    delete_before(settings, {0: 9})
    tail = LogTail(settings.kafka, lambda: SCHEMA.events).ask()
    assert tail.ends == {0: 10, 1: 0}
    assert [event.itemid for event in tail.recent] == [10]


def test_an_archiver_killed_at_random_writes_each_record_once(settings: Settings) -> None:
    rng = random.Random(7)
    line = [sys.executable, "-m", "stream.archive"]
    archive = Archive(settings.archive_folder)
    with closing(producer(settings.kafka)) as client:

        def send(count: int) -> None:
            for _ in range(count):
                client.send(settings.kafka.topic, value=os.urandom(50), partition=rng.randrange(2))

        for _ in range(5):
            archiver = subprocess.Popen(line, stderr=subprocess.DEVNULL)
            before = len(archived(settings))
            # It is at work, and killed at any moment of it.
            until(lambda: send(20) or len(archived(settings)) > before, 60.0)  # noqa: B023
            send(rng.randrange(300))
            time.sleep(0.2 * rng.random())
            archiver.send_signal(signal.SIGKILL)
            archiver.wait()
        client.flush()
    archiver = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    try:
        with closing(Log(settings.kafka)) as log:
            ends = log.ends()
        until(lambda: all(ends[n] - (archive.bounds(n) or (0, 0))[1] < 40 for n in range(2)), 60.0)
    finally:
        archiver.terminate()
        assert archiver.wait(timeout=30) == 0
    archive_all(settings)
    assert archived(settings) == in_kafka(settings)
    assert len({(record.partition, record.offset) for record in archived(settings)}) == sum(ends.values())
