"""Real servers in a state folder of the tests' own, on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import servers
from settings import Settings
from tests.servers_fixture import own_environment


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings, also in the environment, for a state folder of one test; what it started is stopped afterwards."""
    with own_environment(tmp_path / "state") as made:
        yield made
        servers.down(made)


def processes_of(settings: Settings) -> list[str]:
    """The command lines of all processes that name the state folder or run in it, of whatever parent."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            inside = process.cwd().startswith(str(settings.state))
        except psutil.Error:
            continue
        if inside or str(settings.state) in command:
            found.append(command)
    return found
