"""Partitions added to a log on a real Kafka: its epochs, a replay that goes on, a user's records, the heads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lifecycle import partitions
from producers.replay import Pace, Recording, replay
from settings import KafkaSettings, Settings
from stores import Generations, Log, LogError, PublishLock, Unreachable, connect, ensure_topics, partition_of
from stores.archive.archive import Archive
from stores.archive.manifest import Manifest
from stores.archive.user_records import records_of
from stores.archive.whole_log import WholeLog
from stores.errors import ArchiveError
from stores.kafka.epochs import Epoch, Epochs
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark
from stores.kafka.topics import add_partitions, partitions_of_topic
from tests.archives import archive_all
from tests.movielens import SCHEMA, rated
from tests.polling import until
from tests.servers.conftest import two_partitions

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

encode = SCHEMA.events.encode
EVENTS = [rated(userid, 1, 5, ts) for ts, userid in enumerate([*range(1, 21)] * 5)]


@pytest.fixture
def settings(kafka_server: Settings, redis: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Kafka with empty topics of two partitions, and an empty archive."""
    with two_partitions(kafka_server, redis, tmp_path) as made:
        yield made


def more(settings: Settings, partitions: int) -> Settings:
    kafka = settings.kafka.model_copy(update={"partitions": partitions})
    return settings.model_copy(update={"kafka": kafka})


def grow(settings: Settings, partitions: int, *, add: bool = True) -> Settings:
    """End the epoch where the log ends, and add partitions; the settings that say so."""
    grown, archive = more(settings, partitions), Archive(settings.archive_folder)
    with closing(LogProbe(settings.kafka, settings.log_heads)) as probe:
        bounds = probe.bounds()
    manifest = archive.manifest() or Manifest()
    ended = [*manifest.epochs, Epoch(partitions=len(bounds), ends=tuple(each.end for each in bounds.values()))]
    with archive.locked():
        archive.write_manifest(manifest.grown(bounds[0].log, Epochs(partitions, ended)))
    if add:
        add_partitions(grown.kafka)
    return grown


def send(kafka: KafkaSettings, recording: Recording, settings: Settings) -> int:
    report = replay(
        kafka,
        recording,
        pace=Pace.MAX,
        stopping=threading.Event(),
        progress=lambda report: None,
        open_log=lambda: WholeLog(settings),
    )
    return report.sent


def answers(probe: LogProbe) -> bool:
    """True if a check comes to an end; one whose connection does not know the new partitions yet is to be repeated."""
    try:
        probe.check({})
    except Unreachable:
        return False
    return True


def test_another_number_of_partitions_is_refused_until_they_are_added(settings: Settings) -> None:
    grown = more(settings, 3)
    with pytest.raises(LogError, match=r"has 2 partitions, .* is 3; .*run `reelstream rebuild`, which adds them"):
        ensure_topics(grown.kafka)
    add_partitions(grown.kafka)
    ensure_topics(grown.kafka)
    assert partitions_of_topic(settings.kafka) == 3
    with pytest.raises(LogError, match=r"has 3 partitions, .* is 2; "):
        ensure_topics(settings.kafka)


def test_a_replay_goes_on_after_partitions_were_added_and_sends_each_event_once(settings: Settings) -> None:
    recording = Recording("x", SCHEMA, EVENTS)
    assert send(settings.kafka, recording.first(30), settings) == 30
    grown = grow(settings, 3)
    assert send(grown.kafka, recording.first(60), grown) == 30
    assert send(grown.kafka, recording, grown) == 40
    again = grow(grown, 5)
    assert send(again.kafka, recording, again) == 0
    with closing(WholeLog(again)) as log:
        records = [record for stage in log.epochs.stages(log.ends()) for some in log.read_to(stage) for record in some]
        assert all(
            partition_of(int(record.key or b""), log.epochs.spread(record.partition, record.offset)) == record.partition
            for record in records
        )
    assert len({record.partition for record in records}) == 3
    for userid in range(1, 21):
        key, expected = (
            str(userid).encode(),
            [encode(event)[1] for event in EVENTS if event.userid == userid],
        )
        assert [record.value for record in records if record.key == key] == expected
        assert [record.value for record in records_of(again, userid)] == expected


@pytest.mark.parametrize("added", [False, True])
def test_where_redis_is_lost_after_the_epoch_was_noted_the_next_rebuild_adds_partitions_and_notes_them_again(
    settings: Settings, added: bool
) -> None:
    send(settings.kafka, Recording("x", SCHEMA, EVENTS), settings)
    grown = grow(settings, 3, add=added)
    (ended,) = (Archive(settings.archive_folder).manifest() or Manifest()).epochs
    client = connect(settings.redis)
    client.flushall()
    with PublishLock(client, 10, "rebuild") as lock:
        assert not partitions.grow(grown, lock, lambda what, share: None)
    assert partitions_of_topic(settings.kafka) == 3
    live = Generations(client).live()
    # Processes that have the former setting go by this.
    assert (live.append_over(2), live.shards_of(live.name, 2), live.epochs) == (3, 3, 1)
    with closing(WholeLog(grown)) as log:
        log.require_epochs(live.epochs)
        assert list(log.epochs.ended) == [ended]


def test_the_archive_of_a_log_with_more_partitions_than_it_knows_of_is_refused(settings: Settings) -> None:
    send(settings.kafka, Recording("x", SCHEMA, EVENTS), settings)
    archive_all(settings)
    add_partitions(more(settings, 3).kafka)
    with pytest.raises(ArchiveError, match=r"has 2 partitions, the log has 3; .*`reelstream rebuild`"):
        WholeLog(settings)
    grow(settings, 3)
    archive_all(settings)
    with closing(WholeLog(settings)) as log, closing(Log(settings.kafka)) as in_kafka:
        assert log.ends() == in_kafka.ends()
        assert sum(len(some) for some in log.read_to(log.ends())) == len(EVENTS)


def test_a_process_that_knows_of_fewer_partitions_notes_heads_of_those_and_learns_of_the_others(
    settings: Settings,
) -> None:
    with closing(LogProbe(settings.kafka, settings.log_heads)) as probe:
        probe.check({})
        add_partitions(more(settings, 3).kafka)
        probe.note({0: Mark(7, "00000000000000ff"), 2: Mark(9, "00000000000000ff")})
        until(lambda: answers(probe), 30)
        probe.note({2: Mark(9, "00000000000000ff")})
        heads = probe._heads
        assert heads is not None
        assert heads[1].read() == {0: Mark(7, "00000000000000ff"), 2: Mark(9, "00000000000000ff")}
