"""A log whose beginning is deleted, because the state and the archive have it, is missed by nobody."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import closing

import pytest

import servers
from offline.state.lock import lock
from stores import Generations, Log
from stores.archive.archive import Archive
from stores.archive.trim import trim
from stores.archive.whole_log import WholeLog
from stores.redis.generations import FIRST
from tests.archives import archive_all, archived
from tests.commands import command, figures, in_own_process, refuse, succeed
from tests.system.archiving import begins, in_background, small
from tests.system.conftest import System

pytestmark = [pytest.mark.usefixtures("own_state"), pytest.mark.long, pytest.mark.timeout(900)]


def test_trimming_leaves_what_is_not_folded_or_not_archived(system: System) -> None:
    settings = small(system)
    system.send_events(system.events[:200])
    system.wait()
    assert trim(settings).deleted == [], "nothing is archived"
    archive_all(settings)
    servers.stop(settings, ["workers"])
    applied = system.profiles.applied()
    system.send_events(system.events[200:400])
    archive_all(settings)
    trimmed = trim(settings).deleted
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
    assert trim(settings).deleted != []
    assert system.verify().differences == 0


def test_trimming_follows_the_live_state_and_keeps_what_the_previous_one_folds_when_switched_back_to(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(system)
    monkeypatch.setenv("REELSTREAM_ARCHIVE__KEEP_EVENTS", "1")
    system.send_events(system.events[:200])
    system.wait()
    previous = system.profiles.applied()
    rebuilt = succeed("rebuild")["generation"]
    system.send_events(system.events[200:400])
    system.wait()
    archive_all(settings)
    trimmed = trim(settings)
    kept = {partition: max(0, offset or 0) for partition, offset in enumerate(previous)}
    applied = {partition: max(0, offset or 0) for partition, offset in enumerate(system.profiles.applied())}
    assert begins(system) == kept and any(kept.values())
    assert trimmed.kept_for_previous == sum(applied.values()) - sum(kept.values()) > 0
    told = command("archive", "--trim")
    assert told.returncode == 0, told.stderr
    assert (
        f"{trimmed.kept_for_previous:,} more could be deleted" in " ".join(told.stdout.split())
        and "rebuild --drop" in told.stdout
    )
    assert succeed("rebuild", "--back")["generation"] == FIRST
    assert succeed("rebuild", "--drop") == {"dropped": [rebuilt]}
    assert trim(settings).kept_for_previous == 0
    assert begins(system) == applied
    assert system.verify().differences == 0


def test_trimming_waits_for_a_state_that_is_being_built_but_not_for_one_whose_rebuild_died(system: System) -> None:
    settings, generations = small(system), Generations(system.client)
    system.send_events(system.events[:200])
    system.wait()
    archive_all(settings)
    with lock(settings, "rebuild", lambda what, share: None):
        name = generations.begin()
        assert trim(settings).deleted == []
    assert trim(settings).deleted != []
    assert generations.unused() == [name]


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
    assert trim(settings).deleted != []
    system.send_events(system.events[300:])
    system.wait()
    assert system.verify().differences == 0
    assert succeed("rebuild")["events"] == len(system.events) + 1
    system.wait(60.0)
    assert system.verify().differences == 0
    # A log that begins where the archive does not reach cannot be folded, and nothing is deleted.
    shutil.rmtree(settings.archive_folder / "shard=0")
    reason = refuse("verify")
    assert "partition 0" in reason and "archive" in reason
    assert "partition 0" in refuse("rebuild")
    assert system.profiles.applied()[0] is not None


def test_the_command_archives_trims_and_reports(system: System) -> None:
    system.send_events(system.events[:300])
    system.wait()
    told = figures(in_own_process("archive", "--trim", "--json"))
    assert sum(each["end"] - each["first"] for each in told["partitions"]) == 300
    assert [each["waiting"] for each in told["partitions"]] == [0] * system.settings.kafka.partitions
    # The newest `archive.keep_events` stay.
    assert told["trimmed"] == [] and set(begins(system).values()) == {0}
    assert len(archived(system.settings)) == 300


def test_a_replay_that_was_trimmed_continues_where_it_stopped(system: System) -> None:
    settings = small(system)
    succeed("replay", "--max", "--limit", "200")
    system.wait()
    archive_all(settings)
    # Events of someone else, so that trimming leaves no record of the replay.
    system.send_events(system.events[:200])
    system.wait()
    archive_all(settings)
    trim(settings)
    with closing(Log(settings.kafka)) as log:
        assert not [record for some in log.read_to(log.ends()) for record in some if dict(record.headers).get("replay")]
    done = succeed("replay", "--max", "--limit", "210")
    assert (done["present"], done["sent"]) == (200, 10)
