"""The archive of a running system: complete whatever is killed, and enough to do without the log's beginning."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psutil
import pytest
from kafka import KafkaAdminClient, TopicPartition

import servers
from offline.data import readers
from offline.state.lock import lock
from servers.supervisor import ALIVE
from settings import Settings
from stores import Generations, Log, Logged
from stores.archive.archive import Archive
from stores.archive.trim import trim
from stores.archive.whole_log import WholeLog
from stores.errors import ArchiveError
from stores.kafka.client import connected
from stores.redis.generations import FIRST
from stream.archive.archiver import Archiver
from tests.polling import until
from tests.system.conftest import System
from verify import verify

pytestmark = pytest.mark.timeout(900)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cli", *words]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=300)


@pytest.fixture(autouse=True)
def _start_over(system: System) -> Iterator[None]:
    """An empty log and an archive without records for each test; what a test left stopped runs again."""
    servers.up(system.settings)
    system.start_over()
    yield
    servers.up(system.settings)
    system.start_over()


def small(system: System, events: int = 50, keep: int = 1) -> Settings:
    """The settings with small files, and an eager trimming."""
    archive = system.settings.archive.model_copy(update={"events": events, "keep_events": keep})
    return system.settings.model_copy(update={"archive": archive})


def archived(settings: Settings) -> list[Logged]:
    archive = Archive(settings.archive_folder)
    return [
        record
        for partition in range(settings.kafka.partitions)
        for file in archive.files(partition)
        for record in archive.read(file)
    ]


def archive_all(settings: Settings) -> None:
    with closing(Archiver(settings)) as archiver:
        archiver.write(everything=True)


def in_kafka(system: System) -> list[Logged]:
    return sorted(system.log(), key=lambda record: (record.partition, record.offset))


def begins(system: System) -> dict[int, int]:
    with closing(Log(system.settings.kafka)) as log:
        return log.begins()


def lose_kafka(system: System) -> None:
    servers.down(system.settings)
    shutil.rmtree(system.settings.state / "data" / "kafka")
    servers.up(system.settings)


@contextmanager
def in_background(work: threading.Thread) -> Iterator[None]:
    work.start()
    try:
        yield
    finally:
        work.join()


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
    for name in ("userid", "itemid", "rating", "ts"):
        assert getattr(read, name).tolist() == getattr(original, name).tolist()
    assert list(read.catalogue.items.items()) == list(original.catalogue.items.items())
    assert list(read.catalogue.users.items()) == list(original.catalogue.users.items())
    assert readers.data_hash(read) == readers.data_hash(original)
    # The proof needs no data folder either.
    system.send_events(system.events[:50])
    system.wait()
    found = verify(elsewhere, wait_s=60.0, progress=lambda what, share: None)
    assert found.differences == 0 and found.events == 50 and found.sampled == 0


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
    finally:
        stopping.set()
        servers.up(system.settings)
    assert "archiver" not in {part.name for part in servers.status(system.settings)}
    before = len(archived(settings))
    assert before > 0
    archive_all(settings)
    assert archived(settings) == in_kafka(system)
    assert len(archived(settings)) == len(system.events)


def test_trimming_leaves_what_is_not_folded_or_not_archived(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:200])
    system.wait()
    assert trim(settings) == [], "nothing is archived"
    archive_all(settings)
    servers.stop(settings, ["workers"])
    applied = system.profiles.applied()
    system.send_events(system.events[200:400])
    archive_all(settings)
    trimmed = trim(settings)
    # The last record folded stays; a partition without events has none.
    left = {partition: max(0, offset or 0) for partition, offset in enumerate(applied)}
    assert {each.partition: each.begins for each in trimmed} == {n: begin for n, begin in left.items() if begin}
    assert begins(system) == left
    # A damaged file is found before anything is deleted.
    servers.start(settings, ["workers"])
    system.wait()
    archive = Archive(settings.archive_folder)
    path = archive.path(archive.files(0)[-1])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Exception, match="does not match the hash"):
        trim(settings)
    assert begins(system) == left
    path.write_bytes(content)
    assert len(trim(settings)) > 0
    assert system.verify().differences == 0


def test_trimming_follows_the_live_state_and_keeps_what_the_previous_one_folds_when_switched_back_to(
    system: System,
) -> None:
    settings = small(system)
    system.send_events(system.events[:200])
    system.wait()
    previous = system.profiles.applied()
    rebuilt = command("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    system.send_events(system.events[200:400])
    system.wait()
    archive_all(settings)
    trim(settings)
    kept = {partition: max(0, offset or 0) for partition, offset in enumerate(previous)}
    assert begins(system) == kept and any(kept.values())
    back = command("rebuild", "--back", "--json")
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["generation"] == FIRST
    forth = command("rebuild", "--back")
    assert forth.returncode == 0, forth.stderr
    dropped = command("rebuild", "--drop")
    assert dropped.returncode == 0, dropped.stderr
    trim(settings)
    applied = {partition: max(0, offset or 0) for partition, offset in enumerate(system.profiles.applied())}
    assert begins(system) == applied and any(applied[partition] > kept[partition] for partition in kept)
    assert system.verify().differences == 0


def test_trimming_waits_for_a_state_that_is_being_built_but_not_for_one_whose_rebuild_died(system: System) -> None:
    settings, generations = small(system), Generations(system.client)
    system.send_events(system.events[:200])
    system.wait()
    archive_all(settings)
    with lock(settings, "rebuild", lambda what, share: None):
        name = generations.begin()
        assert trim(settings) == []
    assert trim(settings) != []
    assert generations.unused() == [name]


def test_trimming_does_not_wait_for_a_previous_state_of_another_log(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:100])
    system.wait()
    rebuilt = command("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    lose_kafka(system)
    adopted = command("adopt")
    assert adopted.returncode == 0, adopted.stderr
    system.send_events(system.events[100:300])
    system.wait()
    archive_all(settings)
    assert trim(settings) != []
    assert system.verify().differences == 0


def test_a_loss_that_the_live_state_accepted_does_not_stop_the_archive(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:100])
    system.wait()
    rebuilt = command("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    servers.stop(settings, ["workers"])
    archive_all(settings)
    applied = {partition: offset or 0 for partition, offset in enumerate(system.profiles.applied())}
    system.send_events(system.events[100:300])
    before = in_kafka(system)
    with closing(Log(settings.kafka)) as log:
        partition, end = max(log.ends().items(), key=lambda found: found[1] - applied[found[0]])
    lost = end - 1
    assert lost > applied[partition] + 1
    with closing(connected(KafkaAdminClient, settings.kafka)) as admin:
        admin.delete_records({TopicPartition(settings.kafka.topic, partition): lost})
    with pytest.raises(ArchiveError, match=f"partition {partition}"):
        archive_all(settings)
    adopted = command("adopt")
    assert adopted.returncode == 0, adopted.stderr
    servers.up(settings)
    system.wait()
    archive_all(settings)
    gone = range(applied[partition] + 1, lost)
    assert archived(settings) == [each for each in before if each.partition != partition or each.offset not in gone]
    assert system.verify().differences == 0


def test_a_log_that_is_trimmed_again_and_again_costs_nothing(system: System) -> None:
    settings = small(system, events=10)
    stopping, failures = threading.Event(), []

    def trim_again_and_again() -> None:
        while not stopping.wait(0.05):
            try:
                archive_all(settings)
                trim(settings)
            except Exception as error:
                failures.append(repr(error))

    def ask() -> None:
        while not stopping.wait(0.1):
            answer = system.post("/ml/rec", {"userid": 1})
            if answer.status_code != 200:
                failures.append(answer.text)

    asking = threading.Thread(target=ask)
    with in_background(threading.Thread(target=trim_again_and_again)), in_background(asking):
        try:
            for start in range(0, 400, 20):
                system.send_events(system.events[start : start + 20])
                time.sleep(0.1)
            assert system.verify().differences == 0
            servers.restart(settings, ["workers"])
            system.send_events(system.events[400:])
            system.wait(60.0)
            assert system.verify().differences == 0
        finally:
            stopping.set()
    assert failures == []
    assert all(begin > 0 for begin in begins(system).values())
    with closing(WholeLog(settings)) as log:
        assert sum(len(batch) for batch in log.read_to(log.ends())) == len(system.events)
    answer = system.rate(system.events[0].userid, system.events[0].itemid, 4)
    system.wait()
    assert answer["offset"] >= 0 and system.verify().differences == 0


def test_the_state_is_folded_again_from_archive_and_log_whatever_redis_and_the_log_lost(system: System) -> None:
    settings = small(system, events=10)
    system.send_events(system.events[:300])
    # One record that is no event, so that dead letters are counted from the archive too.
    system.send([(b"junk", b"junk", 0)])
    system.wait()
    archive_all(settings)
    assert trim(settings)
    system.send_events(system.events[300:])
    system.wait()
    assert system.verify().differences == 0
    rebuilt = command("rebuild", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert json.loads(rebuilt.stdout)["events"] == len(system.events) + 1
    system.wait(60.0)
    assert system.verify().differences == 0
    # A log that begins where the archive does not reach cannot be folded, and nothing is deleted.
    shutil.rmtree(settings.archive_folder / "shard=0")
    checked = command("verify")
    assert checked.returncode == 1 and "partition 0" in checked.stderr and "archive" in checked.stderr
    refused = command("rebuild")
    assert refused.returncode == 1 and "partition 0" in refused.stderr
    assert system.profiles.applied()[0] is not None


def test_the_command_archives_trims_and_reports(system: System) -> None:
    system.send_events(system.events[:300])
    system.wait()
    done = command("archive", "--trim", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sum(each["end"] - each["first"] for each in told["partitions"]) == 300
    assert [each["waiting"] for each in told["partitions"]] == [0] * system.settings.kafka.partitions
    # The newest `archive.keep_events` stay.
    assert told["trimmed"] == [] and set(begins(system).values()) == {0}
    assert len(archived(system.settings)) == 300


def test_a_replay_that_was_trimmed_continues_where_it_stopped(system: System) -> None:
    settings = small(system)
    sent = command("replay", "--max", "--limit", "200", "--json")
    assert sent.returncode == 0, sent.stderr
    system.wait()
    archive_all(settings)
    # Events of someone else, so that trimming leaves no record of the replay.
    system.send_events(system.events[:200])
    system.wait()
    archive_all(settings)
    trim(settings)
    with closing(Log(settings.kafka)) as log:
        assert log.last_header("replay") == {}
    again = command("replay", "--max", "--limit", "210", "--json")
    assert again.returncode == 0, again.stderr
    done = json.loads(again.stdout)
    assert (done["present"], done["sent"]) == (200, 10)


def test_adopt_sets_the_archive_of_a_lost_log_aside_and_a_new_one_begins(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:200])
    system.wait()
    archive_all(settings)
    lose_kafka(system)
    with pytest.raises(ArchiveError, match="holds another log"):
        archive_all(settings)
    refused = command("replay", "--max", "--limit", "10")
    assert refused.returncode == 1 and "reelstream adopt" in " ".join(refused.stderr.split())
    adopted = command("adopt", "--json")
    assert adopted.returncode == 0, adopted.stderr
    assert json.loads(adopted.stdout)["archive_set_aside"]
    former = list((settings.archive_folder / "former").iterdir())
    assert len(former) == 1
    assert sum(len(Archive(former[0]).read(file)) for p in range(8) for file in Archive(former[0]).files(p)) == 200
    system.send_events(system.events[200:300])
    system.wait()
    archive_all(settings)
    assert archived(settings) == in_kafka(system) and len(archived(settings)) == 100
    trim(settings)
    assert system.verify().differences == 0
    replayed = command("replay", "--max", "--limit", "10", "--json")
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["sent"] == 10


def test_an_archive_that_was_left_behind_by_an_earlier_adoption_is_set_aside_by_the_next(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:100])
    system.wait()
    archive_all(settings)
    copy = settings.state / "archive-copy"
    shutil.copytree(settings.archive_folder, copy)
    lose_kafka(system)
    adopted = command("adopt")
    assert adopted.returncode == 0, adopted.stderr
    # As a release left it that did not set the archive aside.
    shutil.rmtree(settings.archive_folder)
    copy.rename(settings.archive_folder)
    with pytest.raises(ArchiveError, match="reelstream adopt"):
        archive_all(settings)
    again = command("adopt", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {"partitions": [], "snapshot": None, "archive_set_aside": True}
    system.send_events(system.events[100:200])
    system.wait()
    archive_all(settings)
    assert archived(settings) == in_kafka(system) and len(archived(settings)) == 100


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
