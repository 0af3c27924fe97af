"""A backup under load, restored into an empty system; damaged, killed, and made again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import servers
from bench import Load
from features import Event
from lifecycle.backup_folder import BackupFolder
from lifecycle.restore import Note
from stores import Log, connect
from stores.archive.archive import Archive
from stores.kafka.log_probe import LogProbe
from tests.commands import figures, in_own_process, line, refuse, succeed
from tests.servers_fixture import own_environment
from tests.system.conftest import SMALL, System
from tests.system.rating_load import RatingLoad
from tests.system.restored import letters, require_own_records, require_own_state, require_proved
from tests.system.traffic import require_lists

pytestmark = [pytest.mark.usefixtures("own_state"), pytest.mark.long, pytest.mark.timeout(900)]

EVENTS_PER_S = 200
REQUESTS_PER_S = 20
MALFORMED_EVERY = 100


@contextmanager
def empty_system(folder: Path, events: list[Event]) -> Iterator[System]:
    """A machine with all servers and nothing in them, not even the ratings."""
    (folder / "no-data").mkdir()
    with own_environment(folder / "state", ML1M_DIR=str(folder / "no-data"), **SMALL) as settings:
        try:
            servers.up(settings)
            with closing(connect(settings.redis)) as client:
                yield System(settings, events, client)
        finally:
            servers.down(settings)


def back_up_under_load(system: System, folder: str) -> None:
    """Make two backups under load, which fail no request, and the second of which copies little."""
    load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)
    with RatingLoad(system, EVENTS_PER_S, MALFORMED_EVERY).running() as stream:
        load.start()
        time.sleep(3.0)
        first = figures(in_own_process("backup", folder, "--json"))
        time.sleep(1.0)
        second = figures(in_own_process("backup", folder, "--json"))
        time.sleep(1.0)
        answers = load.stop()
    assert stream.failure is None
    assert len(answers) > 3 * REQUESTS_PER_S
    require_lists(answers)
    assert 0 < sum(first["ends"]) < sum(second["ends"]) <= len(stream.sent) + stream.malformed
    # The second copied the new part of each shard, dead letters and drift, and neither the history nor the run.
    assert second["files_copied"] <= system.settings.kafka.partitions + 3
    assert second["bytes_copied"] < first["bytes_copied"] / 2
    assert BackupFolder(Path(folder)).names() == [first["name"], second["name"]]
    print(f"first: {first}\nsecond: {second}\nslowest request: {max(request.ms for request in answers):.0f} ms")


def require_goes_on(system: System, ends: list[int]) -> None:
    """A new rating counts, at the offset that follows, and leaves the next list."""
    userid = system.events[0].userid
    before = system.profiles.read_users([userid])[userid][0].n
    item = system.rec(userid=userid, size=1)["item_list"][0]["itemid"]
    answer = system.rate(userid, item, 5)
    assert answer["offset"] == ends[answer["partition"]]
    system.wait()
    assert system.profiles.read_users([userid])[userid][0].n == before + 1
    assert item not in {each["itemid"] for each in system.rec(userid=userid)["item_list"]}
    assert system.verify().differences == 0


def is_restored(system: System) -> bool:
    """A restore was finished, even if its process was killed before it ended."""
    return system.published.run() is not None and not system.settings.restore_note.exists()


def test_a_backup_under_load_is_restored_into_an_empty_system_which_goes_on(system: System, tmp_path: Path) -> None:
    folder = str(tmp_path / "backups")
    back_up_under_load(system, folder)
    system.wait(60.0)
    manifest = BackupFolder(Path(folder)).manifest()
    mine = [letter for letter in letters(system.settings) if letter[1] < manifest.ends[letter[0]]]
    assert mine
    ratings = system.settings.data_folder
    with empty_system(tmp_path, system.events) as other:
        killed = subprocess.Popen(line("restore", folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(3 + 8 * random.SystemRandom().random())
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        if not is_restored(other):
            done = figures(in_own_process("restore", folder, "--json"))
            assert done["ends"] == manifest.ends and done["run"] == manifest.run
        # The command that was killed had stopped the worker.
        servers.up(other.settings)
        other.wait_until_ready()
        require_proved(other, ratings)
        require_own_state(other, manifest, system)
        require_own_records(other.settings, manifest, system)
        assert letters(other.settings) == mine
        with closing(Log(other.settings.kafka)) as log:
            assert log.begins() == log.ends() == dict(enumerate(manifest.ends))
        require_goes_on(other, manifest.ends)
        # What was restored can be backed up, and is not restored over.
        assert "not empty" in refuse("restore", folder)
        assert sum(succeed("backup", folder)["ends"]) == sum(manifest.ends) + 1


@pytest.mark.thorough
def test_a_backup_made_while_no_worker_runs_files_the_dead_letters_when_it_is_restored(
    system: System, tmp_path: Path
) -> None:
    folder = str(tmp_path / "backups")
    system.send_events(system.events[:100])
    system.send([(b"1", b"junk", 0)])
    system.wait()
    servers.stop(system.settings, ["workers"])
    system.send_events(system.events[100:200])
    system.send([(b"1", b"more junk", 0)])
    made = succeed("backup", folder)
    manifest = BackupFolder(Path(folder)).manifest()
    assert manifest.filed_to[0] < manifest.ends[0]
    assert sum(made["ends"]) == 202
    with empty_system(tmp_path, system.events) as other:
        assert succeed("restore", folder)["letters"] == 2
        servers.up(other.settings)
        other.wait_until_ready()
        assert other.verify().differences == 0
        assert [(partition, offset) for partition, offset, _ in letters(other.settings)] == [
            (0, manifest.filed_to[0] - 1),
            (0, manifest.ends[0] - 1),
        ]
        require_own_records(other.settings, manifest, system)
        # A restore that was killed as its workers had started again, but before its note was gone, is run again.
        with closing(LogProbe(other.settings.kafka, other.settings.log_heads)) as probe:
            log = probe.bounds()[0].log
        note = Note(backup=manifest.name, cluster=log.cluster, topic=log.topic, letters=2)
        other.settings.restore_note.write_text(note.model_dump_json())
        assert succeed("restore", folder)["letters"] == 2
        assert is_restored(other)
        other.wait_until_ready()
        assert other.verify().differences == 0


@pytest.mark.thorough
def test_a_system_that_has_adopted_another_log_is_restored_with_what_only_its_snapshot_holds(
    system: System, tmp_path: Path
) -> None:
    folder = str(tmp_path / "backups")
    system.send_events(system.events[:100])
    system.wait()
    system.lose("kafka")
    succeed("adopt")
    system.send_events(system.events[100:150])
    system.wait()
    assert sum(succeed("backup", folder)["ends"]) == 50
    users = sorted({event.userid for event in system.events[:150]})
    expected = system.profiles.read_users(users)
    with empty_system(tmp_path, system.events) as other:
        succeed("restore", folder)
        other.wait_until_ready()
        assert other.verify().differences == 0
        assert other.profiles.read_users(users) == expected


def test_a_backup_killed_at_any_moment_is_no_backup_and_the_next_one_is_whole(system: System, tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backups")
    system.send_events(system.events)
    system.wait()
    made = 0
    for _ in range(4):
        killed = subprocess.Popen(
            line("backup", str(folder.folder)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(1 + 4 * random.SystemRandom().random())
        killed.send_signal(signal.SIGKILL)
        made += killed.wait() == 0
        names = folder.names() if folder.folder.is_dir() else []
        for name in names:
            folder.check(folder.manifest(name), lambda share: None)
    before = len(folder.names()) if folder.folder.is_dir() else 0
    assert made <= before
    done = succeed("backup", str(folder.folder))
    assert len(folder.names()) == before + 1
    assert succeed("backup", str(folder.folder), "--check")["name"] == done["name"]
    needed = {stored.sha256 for name in folder.names() for stored in folder.manifest(name).files.values()}
    assert {path.name for path in (folder.folder / "files").iterdir()} == needed
    assert sum(done["ends"]) == len(system.events)
    assert system.verify().differences == 0


def test_a_damaged_file_is_found_by_its_hash_and_nothing_is_restored(system: System, tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backups")
    system.send_events(system.events[:100])
    succeed("backup", str(folder.folder))
    assert "not empty" in refuse("restore", str(folder.folder))
    path, stored = next(
        (path, stored) for path, stored in folder.manifest().files.items() if path.startswith("archive/shard=")
    )
    content = folder.folder / "files" / stored.sha256
    content.write_bytes(content.read_bytes()[:-1] + b"?")
    assert path in refuse("backup", str(folder.folder), "--check")
    assert path in refuse("restore", str(folder.folder))
    # As the message says: deleted, it is copied again.
    content.unlink()
    succeed("backup", str(folder.folder))
    assert succeed("backup", str(folder.folder), "--check")["damaged"] == 0
    # A damaged archive is found before it replaces what is whole.
    file = next(file for shard in range(8) for file in Archive(system.settings.archive_folder).files(shard))
    archived = Archive(system.settings.archive_folder).path(file)
    whole = archived.read_bytes()
    archived.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elsewhere = BackupFolder(tmp_path / "elsewhere")
    assert "hash" in refuse("backup", str(elsewhere.folder))
    assert elsewhere.names() == []
    archived.write_bytes(whole)
    system.wait()
    assert system.verify().differences == 0
