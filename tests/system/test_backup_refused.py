"""Commands that are refused, and leave the workers as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import servers
from offline.state.lock import lock
from tests.commands import refuse, succeed
from tests.system.conftest import System


def test_a_folder_in_the_state_folder_or_with_other_settings_is_refused(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "in the state folder" in refuse("backup", str(system.settings.state / "backups"))
    assert "no complete backup" in refuse("restore", str(tmp_path))
    succeed("backup", str(tmp_path / "backups"))
    worker = servers.pid(system.settings, "worker-0")
    assert "not empty" in refuse("restore", str(tmp_path / "backups"))
    monkeypatch.setenv("REELSTREAM_STREAM__MAX_FUTURE_S", "1")
    assert "stream.max_future_s" in refuse("restore", str(tmp_path / "backups"))
    # A worker that was restarted would have the settings of the command from then on.
    assert servers.pid(system.settings, "worker-0") == worker


def test_an_adoption_is_refused_while_a_publish_is_at_work(system: System) -> None:
    worker = servers.pid(system.settings, "worker-0")
    with lock(system.settings, "publish", lambda what, share: None):
        refuse("adopt")
    assert servers.pid(system.settings, "worker-0") == worker
