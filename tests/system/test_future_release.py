"""Values that a later release wrote into a running system: events are folded and requests answered all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from elasticsearch import Elasticsearch

import servers
from bench import Load
from drift.records import PartitionCounts
from features import Event
from stores import DriftStore
from stores.item_documents import INDEX_VERSION
from stores.redis.published_runs import RUN
from tests.commands import command, refuse, succeed
from tests.polling import until
from tests.system.conftest import System

pytestmark = pytest.mark.timeout(600)

FUTURE = 99
USERS = iter(range(880_000, 890_000))


@pytest.fixture(scope="module", autouse=True)
def anew(system: System) -> Iterator[None]:
    """Leave the system in order to the tests that follow: what drift missed stays missing in its counts."""
    yield
    system.start_over()


def fold_one(system: System) -> None:
    event = Event(next(USERS), system.catalogue_items()[0], 5, 1000)
    system.send_events([event])
    system.wait(20)
    assert system.profiles.profile(event.userid)[0] is not None


def drift_trouble(system: System) -> str:
    port = system.settings.stream.metrics_port
    return str(requests.get(f"http://127.0.0.1:{port}/health", timeout=10).json()["troubles"].get("drift", ""))


def test_a_live_run_of_a_later_release_is_reported_and_replaced_by_publish(system: System) -> None:
    client = system.profiles.client
    before = json.loads(client.get(RUN))
    client.set(RUN, json.dumps(before | {"run": "later", "schema_version": FUTURE}))
    fold_one(system)
    until(lambda: f"version {FUTURE}" in drift_trouble(system))
    answer = system.rec(userid=1, size=5)
    assert answer["run"] == before["run"] and len(answer["item_list"]) == 5
    assert "reelstream publish --force" in refuse("publish")
    load = Load(system.settings, sorted({event.userid for event in system.events}), 20)
    load.start()
    succeed("publish", "--force")
    index = json.loads(client.get(RUN))["index"]
    assert index != before["index"]
    fold_one(system)
    # The API answers with the run of the later release until it has seen the switch, whatever else keeps it busy.
    with Elasticsearch(system.settings.elasticsearch.url) as elasticsearch:
        assert elasticsearch.indices.exists(index=before["index"])
    assert {(request.status, request.degraded) for request in load.stop()} == {(200, ())}
    assert system.rec(userid=1, size=5)["degraded"] == []
    assert json.loads(client.get(RUN))["run"] == before["run"]


def test_an_index_of_a_later_release_is_reported_and_filled_again_by_publish(system: System) -> None:
    index = json.loads(system.profiles.client.get(RUN))["index"]
    # Drift may have missed events in another test.
    before = system.verify().differences
    with Elasticsearch(system.settings.elasticsearch.url) as client:
        client.indices.put_mapping(index=index, meta={"schema_version": FUTURE})
        told = command("doctor", "--json")
        assert told.returncode == 1 and f"version {FUTURE}" in told.stdout
        assert system.verify().differences == before + 1
        succeed("publish")
        assert client.indices.get_mapping(index=index)[index]["mappings"]["_meta"] == {"schema_version": INDEX_VERSION}
    assert system.verify().differences == before


def test_counts_of_drift_of_a_later_release_are_reset_with_a_message(system: System) -> None:
    servers.stop(system.settings, ["workers"])
    log = system.settings.state / "logs" / "worker-0.log"
    before = log.stat().st_size
    store = DriftStore(system.profiles.client)
    later = json.loads(PartitionCounts(last=0, events=0, series={}).model_dump_json()) | {"schema_version": FUTURE}
    store.client.hset("{drift}:counts", "0", json.dumps(later))
    servers.start(system.settings, ["workers"])
    fold_one(system)
    words = f"version {FUTURE} of its layout"
    until(lambda: any("is reset" in line and words in line for line in log.read_bytes()[before:].decode().splitlines()))
    until(lambda: store.client.hlen("{drift}:counts") > 0)
    assert store.counts()
