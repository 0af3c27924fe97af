"""Settings for the tests of compose.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import Settings, load
from tests.compose.groups import use


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings of the repository's reelstream.toml, with a state folder of the test's own."""
    use(monkeypatch, {"REELSTREAM_STATE_DIR": str(tmp_path / "state")})
    return load()
