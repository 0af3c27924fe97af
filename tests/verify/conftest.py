"""The small data sets, each made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from offline.data import readers
from offline.state.archived_history import archive_history
from stores.archive.history import HISTORY
from tests.verify.worlds import WORLDS, World


@pytest.fixture(scope="session", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return WORLDS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def archived(world: World) -> Path:
    """The same as the archive of a system keeps it."""
    archive_history(world.settings, world.ratings, readers.data_hash(world.ratings))
    return world.settings.archive_folder / HISTORY
