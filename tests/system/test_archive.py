"""The archive of a running system: complete whatever is killed, and of one log alone."""

from __future__ import annotations

import random
import signal
import threading
import time
from contextlib import closing, suppress

import psutil
import pytest
from kafka import KafkaAdminClient, TopicPartition

import servers
from offline.data import readers
from servers.supervisor import ALIVE
from settings import Settings
from stores import Log
from stores.archive.archive import Archive
from stores.archive.trim import trim
from stores.errors import ArchiveError
from stores.kafka.client import connected
from stores.kafka.log_check import LogIdentity
from tests.archives import archive_all, archived, records_of
from tests.commands import refuse, succeed
from tests.polling import until
from tests.system.archiving import in_background, in_kafka, small
from tests.system.conftest import System
from verify import verify

pytestmark = [pytest.mark.usefixtures("own_state"), pytest.mark.long, pytest.mark.timeout(900)]


def killed_at_random(settings: Settings, name: str, seed: int, stopping: threading.Event) -> None:
    rng = random.Random(seed)
    while not stopping.wait(3 + 3 * rng.random()):
        with suppress(servers.NotRunning, psutil.Error):
            psutil.Process(servers.pid(settings, name)).send_signal(signal.SIGKILL)


def test_publish_archives_the_offline_history_which_reads_back_as_it_was(system: System) -> None:
    settings = system.settings
    original = readers.load(settings)
    elsewhere = settings.model_copy(
        update={"data": settings.data.model_copy(update={"folder": str(settings.state / "no-data")})}
    )
    read = readers.load(elsewhere)
    for name in ("user", "item", "code", "ts"):
        assert getattr(read, name).tolist() == getattr(original, name).tolist()
    assert list(read.catalogue.items.items()) == list(original.catalogue.items.items())
    assert list(read.catalogue.users.items()) == list(original.catalogue.users.items())
    assert readers.data_hash(read) == readers.data_hash(original)
    # The proof needs no data folder either.
    system.send_events(system.events[:50])
    system.wait()
    found = verify(elsewhere, wait_s=60.0, progress=lambda what, share: None)
    assert found.differences == 0 and found.events == 50 and found.sampled > 0


def test_an_archiver_killed_during_a_replay_archives_each_record_once(system: System) -> None:
    settings = small(system)
    servers.start(settings, ["archiver"])
    stopping = threading.Event()
    try:
        killer = threading.Thread(target=killed_at_random, args=(settings, "archiver", 5, stopping))
        with in_background(killer):
            for start in range(0, len(system.events), 20):
                system.send_events(system.events[start : start + 20])
                time.sleep(0.5)
            stopping.set()
        until(lambda: {part.name: part for part in servers.status(settings)}["archiver"].healthy, 60.0)
        until(lambda: archived(settings), 60.0)  # on a busy machine, it may have been killed before it archived any
    finally:
        stopping.set()
        servers.up(system.settings)
    assert "archiver" not in {part.name for part in servers.status(system.settings)}
    archive_all(settings)
    assert archived(settings) == in_kafka(system)
    assert len(archived(settings)) == len(system.events)


def test_a_loss_that_the_live_state_accepted_does_not_stop_the_archive(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:100])
    system.wait()
    succeed("rebuild")
    servers.stop(settings, ["workers"])
    archive_all(settings)
    applied = {partition: offset or 0 for partition, offset in enumerate(system.profiles.applied())}
    system.send_events(system.events[100:300])
    before = in_kafka(system)
    with closing(Log(settings.kafka)) as log:
        ends = {each: end for each, end in log.ends().items() if applied[each] > 0}
    partition, end = max(ends.items(), key=lambda found: found[1] - applied[found[0]])
    lost = end - 1
    assert lost > applied[partition] + 1
    with closing(connected(KafkaAdminClient, settings.kafka)) as admin:
        admin.delete_records({TopicPartition(settings.kafka.topic, partition): lost})
    with pytest.raises(ArchiveError, match=f"partition {partition}"):
        archive_all(settings)
    succeed("adopt")
    servers.up(settings)
    system.wait()
    archive_all(settings)
    gone = range(applied[partition] + 1, lost)
    assert archived(settings) == [each for each in before if each.partition != partition or each.offset not in gone]
    assert system.verify().differences == 0


def test_adopt_begins_a_new_archive_where_events_that_the_state_holds_were_deleted_from_the_log(
    system: System,
) -> None:
    settings = small(system)
    system.send_events(system.events[:100])
    system.wait()
    archive_all(settings)
    system.send_events(system.events[100:300])
    system.wait()
    with closing(Log(settings.kafka)) as log:
        begins = {partition: end - 1 for partition, end in log.ends().items() if end}
    with closing(connected(KafkaAdminClient, settings.kafka)) as admin:
        admin.delete_records({TopicPartition(settings.kafka.topic, each): begin for each, begin in begins.items()})
    with pytest.raises(ArchiveError, match="reelstream adopt"):
        archive_all(settings)
    done = succeed("adopt")
    assert done["archive_set_aside"] and all(each["lost"] == [] for each in done["partitions"])
    system.send_events(system.events[300:400])
    system.wait()
    archive_all(settings)
    assert archived(settings) == in_kafka(system) and len(archived(settings)) == 100 + len(begins)
    assert system.verify().differences == 0


def test_adopt_sets_the_archive_of_a_lost_log_aside_and_a_new_one_begins(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:200])
    system.wait()
    succeed("rebuild")
    archive_all(settings)
    system.lose("kafka")
    with pytest.raises(ArchiveError, match="holds another log"):
        archive_all(settings)
    assert "reelstream adopt" in refuse("replay", "--max", "--limit", "10")
    assert succeed("adopt")["archive_set_aside"]
    former = list((settings.archive_folder / "former").iterdir())
    assert len(former) == 1
    assert len(records_of(Archive(former[0]), settings.kafka.partitions)) == 200
    system.send_events(system.events[200:300])
    system.wait()
    archive_all(settings)
    assert archived(settings) == in_kafka(system) and len(archived(settings)) == 100
    # The state from before the rebuild was folded from the log that is gone, and needs nothing of this one.
    assert trim(settings).deleted != []
    assert system.verify().differences == 0
    assert succeed("replay", "--max", "--limit", "10")["sent"] == 10


def test_an_archive_that_was_left_behind_by_an_earlier_adoption_is_set_aside_by_the_next(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:100])
    system.wait()
    archive_all(settings)
    # As a release left it that did not set the archive aside.
    archive = Archive(settings.archive_folder)
    manifest = archive.manifest()
    assert manifest is not None
    archive.write_manifest(manifest.of_log(LogIdentity("another cluster", "another topic"), 8))
    with pytest.raises(ArchiveError, match="reelstream adopt"):
        archive_all(settings)
    assert succeed("adopt") == {"partitions": [], "snapshot": None, "archive_set_aside": True}
    system.send_events(system.events[100:200])
    system.wait()
    archive_all(settings)
    assert archived(settings) == in_kafka(system) and len(archived(settings)) == 200


def test_up_starts_the_archiver_where_the_settings_say_so(system: System) -> None:
    assert "archiver" not in {part.name for part in servers.status(system.settings)}
    enabled = small(system).model_copy(
        update={"archive": system.settings.archive.model_copy(update={"enabled": True, "events": 10})}
    )
    try:
        started = servers.up(enabled)
        assert "archiver" in {component.name for component in started}
        system.send_events(system.events[:200])
        until(lambda: len(archived(enabled)) > 100, 30.0)
        statuses = {part.name: part for part in servers.status(enabled)}
        assert statuses["archiver"].healthy and statuses["archiver"].state.upper() in ALIVE
    finally:
        servers.up(system.settings)
    assert "archiver" not in {part.name for part in servers.status(system.settings)}
