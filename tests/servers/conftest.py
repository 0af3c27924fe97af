"""Real servers in a state folder of the tests' own, on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import servers
from settings import Settings, load
from tests.servers_fixture import free_ports_environment


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    """Settings for a state folder of one test; what the test started is stopped afterwards."""
    for name, value in free_ports_environment(tmp_path / "state").items():
        monkeypatch.setenv(name, value)
    made = load()
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
