"""The whole system on real servers, started once: generated ratings, a published run, one worker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import requests
from kafka import KafkaProducer

import api.live
import servers
from cli.models import publish_run
from cli.stream import held_out
from features import Event, Id, Schema
from offline.data import generate, readers
from settings import Settings
from stores import (
    DriftStore,
    Generations,
    Log,
    Logged,
    Profiles,
    Published,
    StateStores,
    Unreachable,
    connect,
    partition_of,
    producer,
)
from stores.redis.connection import Client
from stores.redis.generations import FIRST
from stores.redis.unpublished_items import UnpublishedItems
from tests.polling import until
from tests.servers_fixture import own_environment
from verify import Verified, verify

SMALL = {
    "REELSTREAM_TRAIN__ENCODER_EPOCHS": "2",
    "REELSTREAM_TRAIN__REFIT_EPOCHS": "1",
    "REELSTREAM_TRAIN__RANKER_EPOCHS": "1",
    "REELSTREAM_TRAIN__RANKER_MODELS": "1",
    # In one process: each of two would load PyTorch once more.
    "REELSTREAM_TRAIN__THREADS": "1",
    "REELSTREAM_TRAIN__DIM": "16",
    "REELSTREAM_TRAIN__LAYERS": "1",
    "REELSTREAM_RECALL__VECTOR_K": "20",
    "REELSTREAM_RECALL__TERM_K": "20",
    "REELSTREAM_STREAM__SESSION_TIMEOUT_S": "6",
    # Another process of the tests may leave no processor idle for minutes.
    "REELSTREAM_PUBLISH__IDLE_PRIORITY": "false",
    # 800 events of 80 users say little: thresholds that they can exceed, at the price of false alarms.
    "REELSTREAM_DRIFT__FALSE_ALARMS_PER_WEEK": "1e6",
}

PATIENT = {f"REELSTREAM_{name}__TIMEOUT_S": "10" for name in ("REDIS", "ELASTICSEARCH", "TRITON")} | {
    "REELSTREAM_API__AFTER_TIMEOUT_S": "5"
}
"""For tests whose lists must be whole: on a busy machine a part that works may take longer than a second or two."""


@dataclass
class System:
    """The running system, and what tests do with it."""

    settings: Settings
    events: list[Event]
    client: Client
    generation: str = FIRST
    in_order: bool = True
    """True while all parts run, on a log that matches the published run; else the next module starts over."""

    @property
    def profiles(self) -> Profiles:
        """The users of the generation of the state that is live; while Redis is down, of the one that was last."""
        with suppress(Unreachable):
            self.generation = Generations(self.client).live().name
        return StateStores.of(self.settings, self.generation, self.client).profiles

    @property
    def published(self) -> Published:
        """The catalogue and the runs of the generation that is live."""
        return StateStores.live(self.settings).published

    @cached_property
    def schema(self) -> Schema:
        """The schema of the data set."""
        return self.profiles.schema

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.settings.api.port}"

    def post(self, path: str, body: object) -> requests.Response:
        return requests.post(self.api + path, json=body, timeout=30)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.api + path, timeout=30)

    def rec(self, **body: object) -> dict:
        answer = self.post("/ml/rec", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rate(self, userid: int, itemid: int, rating: int, ts: int | None = None) -> dict:
        body = {"userid": userid, "itemid": itemid, "rating": rating} | ({} if ts is None else {"ts": ts})
        answer = self.post("/ratings", body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def send(
        self, records: Sequence[tuple[bytes | None, bytes | None, int]], client: KafkaProducer | None = None
    ) -> None:
        """Put raw (key, value, partition) on the topic, by a producer that the caller has, or one for these alone."""
        with nullcontext(client) if client else closing(producer(self.settings.kafka)) as used:
            futures = [
                used.send(self.settings.kafka.topic, key=key, value=value, partition=partition)
                for key, value, partition in records
            ]
            used.flush()
            assert all(future.get(timeout=10) for future in futures)

    def send_events(self, events: Sequence[Event]) -> None:
        encode = self.schema.events.encode
        self.send([(*encode(event), self.partition(event.userid)) for event in events])

    def partition(self, userid: Id) -> int:
        return partition_of(userid, self.settings.kafka.partitions)

    def log(self, topic: str | None = None) -> list[Logged]:
        log = Log(self.settings.kafka, topic)
        try:
            return [record for batch in log.read_to(log.ends()) for record in batch]
        finally:
            log.close()

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until the stream has folded the whole log."""
        log = Log(self.settings.kafka)
        ends = log.ends()
        log.close()

        def folded() -> bool:
            visible = enumerate(self.profiles.visible_offsets())
            return all((-1 if offset is None else offset) >= ends[shard] - 1 for shard, offset in visible)

        until(folded, seconds, lambda: f"{ends}, {self.profiles.visible_offsets()}")

    def wait_for_items(self) -> None:
        """Wait until the stream has folded the whole log, and the API has read the items that this changed."""
        self.wait()
        until(lambda: not UnpublishedItems(self.profiles).count())
        time.sleep(4 * api.live.EVERY_S)  # it looks that often, and a look takes time

    def wait_for_drift(self, seconds: float = 60.0) -> None:
        """Wait until the stream has folded the whole log, and drift has counted what it folded."""
        self.wait(seconds)
        log = Log(self.settings.kafka, self.settings.kafka.features_topic)
        with closing(log):
            end = log.ends()[0]
        store = DriftStore(self.profiles.client)
        until(lambda: store.position() >= end - 1, seconds, lambda: f"{store.position()} of {end}")

    def wait_until_ready(self) -> None:
        """Wait until the API has all that a request needs."""
        ready = "/health/ready"
        until(lambda: self.get(ready).status_code == 200, 60, lambda: self.get(ready).text)

    def lose(self, store: str) -> None:
        """Stop a store, delete its data, and start it again."""
        servers.stop(self.settings, [store])
        shutil.rmtree(self.settings.state / "data" / store)
        servers.start(self.settings, [store])

    def start_over(self) -> None:
        """Delete the log and the state, and publish the newest run with the snapshot."""
        publish_run(self.settings, None, lambda *_: None, reset=True)

    def verify(self) -> Verified:
        return verify(self.settings, wait_s=60.0, progress=lambda what, share: None)

    def catalogue_items(self) -> list:
        return sorted({event.itemid for event in self.events})


@contextmanager
def running_system(folder: Path, *, users: int, items: int, events: int, **variables: str) -> Iterator[System]:
    """The whole system on generated ratings in a folder of its own, trained on them; stopped afterwards."""
    generate.make(folder / "data", users=users, items=items, events=events, seed=3)
    with serving(folder, folder / "data", **variables) as running:
        yield running


@contextmanager
def serving(folder: Path, data: Path, run: Path | None = None, **variables: str) -> Iterator[System]:
    """The whole system, published and ready; stopped afterwards.

    Args:
        folder: for its state.
        data: the files of the data set.
        run: a run that was trained on them; without one, it is trained.
        variables: further `REELSTREAM_*` variables.
    """
    from offline.train.pipeline import train

    with own_environment(folder / "state", ML1M_DIR=str(data), **SMALL | variables) as settings:
        try:
            servers.up(settings)
            if run is None:
                train(settings, lambda *_: None)
            else:
                shutil.copytree(run, settings.runs / run.name)
            publish_run(settings, None, lambda *_: None)
            replayed, _ = held_out(settings)
            running = System(settings, replayed, connect(settings.redis))
            assert running.schema == readers.load(settings).schema  # kept for when Redis is down
            running.wait_until_ready()
            yield running
        finally:
            servers.down(settings)


@pytest.fixture(scope="module")
def in_order(system: System) -> Iterator[None]:
    """Have the system in order for the modules that follow: the next that does not start over by itself does so."""
    yield
    system.in_order = False


@pytest.fixture
def own_state(system: System, in_order: None) -> None:
    """An empty log and archive, and the first generation of the state; what a test left stopped runs again."""
    start_over(system)


def start_over(system: System) -> None:
    """Run what was left stopped, delete the log and the state, and wait for the API."""
    servers.up(system.settings)
    system.start_over()
    system.wait_until_ready()


@pytest.fixture(scope="module")
def system(shared_system: System, request: pytest.FixtureRequest) -> System:
    """The system that modules share, in order unless each test of this one puts it in order for itself."""
    tests = [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
    if not shared_system.in_order and not all("own_state" in getattr(item, "fixturenames", ()) for item in tests):
        start_over(shared_system)
        shared_system.in_order = True
    return shared_system


@pytest.fixture(scope="session")
def shared_system(generated: Settings, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with serving(tmp_path_factory.mktemp("system"), generated.data_folder, run, **PATIENT) as running:
        yield running
