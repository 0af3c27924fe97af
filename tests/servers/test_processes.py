"""Arguments and environment of our own processes."""

from __future__ import annotations

import pytest

from servers import processes
from settings import load


def test_a_process_does_not_inherit_a_folder_that_goes_with_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")
    for name in gone:
        monkeypatch.setenv(name, "/tmp/of-the-caller")
    monkeypatch.setenv("HOME", "/home/of-the-caller")
    for component in (processes.worker(load(), 0), processes.api(load()), processes.feast(load())):
        environment = component.launch().environment
        assert not environment.keys() & set(gone)
        assert environment["HOME"] == "/home/of-the-caller"
