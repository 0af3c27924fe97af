"""Steps shared by the tests of the archive of a running system."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from settings import Settings
from stores import Log, Logged
from tests.system.conftest import System


def small(system: System, events: int = 50, keep: int = 1) -> Settings:
    """The settings with small files, and an eager trimming."""
    archive = system.settings.archive.model_copy(update={"events": events, "keep_events": keep})
    return system.settings.model_copy(update={"archive": archive})


def in_kafka(system: System) -> list[Logged]:
    return sorted(system.log(), key=lambda record: (record.partition, record.offset))


def begins(system: System) -> dict[int, int]:
    with closing(Log(system.settings.kafka)) as log:
        return log.begins()


@contextmanager
def in_background(work: threading.Thread) -> Iterator[None]:
    work.start()
    try:
        yield
    finally:
        work.join()
