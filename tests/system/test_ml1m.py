"""On MovieLens-1M, with a worker killed in the middle of the replay, everything stored is as folded offline."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from cli.stream import held_out
from offline.data import readers
from offline.data.readers import FILES
from offline.state.beginning import write_beginning
from producers import Pace, Recording, Report, replay
from settings import Settings, load
from stores import Profiles, connect, ensure_topics
from stores.feast.feature_store import Features
from tests.servers_fixture import own_environment
from verify import verify

FOLDER = load().data_folder
PARTS = ["kafka", "redis", "workers"]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with own_environment(tmp_path / "state", ML1M_DIR=str(FOLDER)) as made:
        try:
            servers.up(made, only=PARTS)
            yield made
        finally:
            servers.down(made)


@pytest.mark.ml1m
@pytest.mark.skipif(
    not all((FOLDER / name).is_file() for name in FILES), reason="needs MovieLens-1M; set ML1M_DIR to its folder"
)
def test_store_features_after_a_replay_equal_features_folded_offline(settings: Settings) -> None:
    ratings = readers.load(settings)
    client = connect(settings.redis)
    profiles = Profiles(client, settings.kafka.topic, settings.kafka.partitions, schema=ratings.schema)
    ensure_topics(settings.kafka)
    write_beginning(settings, ratings, Features(settings, ratings.schema), lambda share: None, lambda share: None)
    events, source = held_out(settings)
    assert len(events) == 60_400
    worker = servers.pid(settings, "worker-0")
    killed = threading.Event()

    def kill_in_the_middle(report: Report) -> None:
        if report.sent > 30_000 and not killed.is_set() and any((each or 0) > 100 for each in profiles.applied()):
            killed.set()
            os.kill(worker, signal.SIGKILL)

    done = replay(
        settings.kafka,
        Recording(source, ratings.schema, events),
        pace=Pace.MAX,
        stopping=threading.Event(),
        progress=kill_in_the_middle,
    )
    assert killed.is_set()
    assert done.sent == 60_400
    # Without Elasticsearch and Triton, no run is live.
    found = verify(settings, wait_s=120.0, live=False, progress=lambda what, share: None)
    assert (found.profiles, found.items, found.feature_rows) == (6_040, 3_883, 9_923)
    assert found.events == 60_400
    assert found.differences == 0, found.differing
    assert servers.pid(settings, "worker-0") != worker
