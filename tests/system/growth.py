"""A system whose settings say more partitions than its log has, until `reelstream rebuild` adds them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import servers
from stores import partition_of
from tests.commands import line
from tests.system.conftest import System

MORE = 11
"""Not a multiple of what it was, so that users move between the partitions that were there before, too."""

MOVED = next(userid for userid in range(700_100, 700_200) if partition_of(userid, 8) != partition_of(userid, MORE))
"""A user whom the history does not have, and whose partition is another one afterwards."""


@contextmanager
def growing(system: System) -> Iterator[System]:
    """The system with more partitions in its settings; afterwards, an empty log with as many as before."""
    system.start_over()
    system.wait_until_ready()
    kafka = system.settings.kafka.model_copy(update={"partitions": MORE})
    yield replace(system, settings=system.settings.model_copy(update={"kafka": kafka}))
    workers = servers.stop(system.settings, ["workers", "archiver"])
    system.start_over()
    servers.start(system.settings, workers)
    system.wait_until_ready()


def rebuilding() -> subprocess.Popen[str]:
    """A rebuild that adds the partitions."""
    return subprocess.Popen(
        line("rebuild", "--json"),
        env={**os.environ, "REELSTREAM_KAFKA__PARTITIONS": str(MORE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
