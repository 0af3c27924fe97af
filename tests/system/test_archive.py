"""The archive of a running system."""

from __future__ import annotations

import pytest

from offline.data import readers
from tests.system.conftest import System
from verify import verify

pytestmark = pytest.mark.timeout(600)


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
