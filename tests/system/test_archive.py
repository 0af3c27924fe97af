"""The archive of a running system."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psutil
import pytest

import servers
from offline.data import readers
from settings import Settings
from stores import Logged
from stores.archive.archive import Archive
from stream.archive.archiver import Archiver
from tests.polling import until
from tests.system.conftest import System
from verify import verify

pytestmark = pytest.mark.timeout(600)


def archived(settings: Settings) -> list[Logged]:
    archive = Archive(settings.archive_folder)
    return [
        record
        for partition in range(settings.kafka.partitions)
        for file in archive.files(partition)
        for record in archive.read(file)
    ]


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
    system.start_over()
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
    system.start_over()
    archive = system.settings.archive.model_copy(update={"events": 50})
    settings = system.settings.model_copy(update={"archive": archive})
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
    with closing(Archiver(settings)) as archiver:
        archiver.write(everything=True)
    assert archived(settings) == sorted(system.log(), key=lambda record: (record.partition, record.offset))
    assert len(archived(settings)) == len(system.events)
