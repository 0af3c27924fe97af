"""An API in a process of its own that serves a small shop from Redis and Kafka alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests

from features import Event, Id, Item, Seen, fold
from scoring.run_ids import RunIds
from settings import Settings
from stores import LiveRun, Log, Logged, Snapshot, StateStores, connect, delete_topics, ensure_topics
from stores.redis.generations import FIRST
from stores.redis.published_runs import RUN
from tests import shop
from tests.polling import until
from tests.servers_fixture import own_environment
from tests.shop import CART, PURCHASE, SCHEMA, VIEW

MARKUP = '<img src=x onerror="document.title=1">&amp;{{7*7}}'
"""A text that is markup, a reference and a template, and must be shown as it is."""

ITEMS: dict[Id, Item] = {
    item.itemid: item
    for item in (
        shop.item("i/1", f"Spade {MARKUP}", (0,), brand=1, price=12.5, text="Digs."),
        shop.item("ï 2%", "", (0, 2), brand=1, price=25.0),
        shop.item(MARKUP, "Kettle", (1,), brand=2),
        *(shop.item(f"n{number}", f"Toy {number}", (2,), brand=3, price=float(number)) for number in range(30)),
    )
}
USER = f"ü/1 {MARKUP}"
EVENTS = [
    Event(USER, "i/1", VIEW, 100),
    Event(USER, "i/1", PURCHASE, 200),
    Event(USER, MARKUP, CART, 300),
    Event(USER, "ï 2%", VIEW, 400),
]
"""The state of USER."""


@dataclass(frozen=True)
class ShopApi:
    """The running API, and what tests do with it."""

    settings: Settings

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.api.port}"

    def serves(self) -> bool:
        """Return True once it has found what is published."""
        return bool(self.get("/health/ready").json()["checks"]["published"])

    def get(self, path: str) -> requests.Response:
        return requests.get(self.address + path, timeout=30)

    def post(self, path: str, body: object) -> requests.Response:
        return requests.post(self.address + path, json=body, timeout=30)

    def rec(self, **body: Any) -> Any:
        answer = self.post("/ml/rec", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def log(self) -> list[Logged]:
        with closing(Log(self.settings.kafka)) as log:
            return [record for records in log.read_to(log.ends()) for record in records]


def segment(text: str) -> str:
    """A text as a part of a path."""
    return quote(text, safe="")


def publish_shop(settings: Settings) -> None:
    """Write the state of the shop and a run, whose models and index no server has."""
    client = connect(settings.redis)
    client.flushall()
    state = StateStores.of(settings, FIRST, client)
    state.published.begin_snapshot("a", SCHEMA)
    state.published.set_catalogue(ITEMS)
    profile, seen = SCHEMA.profile(USER), dict[Id, Seen]()
    for event in EVENTS:
        assert fold(SCHEMA.codes, profile, None, event, ITEMS)
        seen[event.itemid] = (*seen.get(event.itemid, ()), (event.ts, event.code))
    for shard in range(settings.kafka.partitions):
        own = state.profiles.shard_of(USER) == shard
        state.profiles.write_shard(
            shard, {USER: profile} if own else {}, {USER: seen} if own else {}, {}, [shop.user(USER, 1)] if own else []
        )
    run = LiveRun(
        run="one",
        version=1,
        index="items-1",
        dim=3,
        history=10,
        quality=0.1,
        dense=list(SCHEMA.dense_columns),
        numbered=True,
    )
    state.published.set_ids(run.run, RunIds.of([USER], ITEMS))
    client.set(RUN, run.model_dump_json())
    state.published.set_snapshot(Snapshot(data_hash="a", created="2026-01-01", events=4, users=1, items=len(ITEMS)))


@pytest.fixture(scope="module")
def shop_api(kafka_server: Settings, redis: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopApi]:
    """The API of the shop; Elasticsearch and Triton do not answer."""
    delete_topics(kafka_server.kafka)
    with own_environment(
        tmp_path_factory.mktemp("shop") / "state",
        REELSTREAM_KAFKA__BOOTSTRAP=kafka_server.kafka.bootstrap,
        REELSTREAM_KAFKA__PARTITIONS=str(kafka_server.kafka.partitions),
        REELSTREAM_REDIS__PORT=str(redis.redis.port),
        REELSTREAM_REDIS__PASSWORD=redis.redis.secret,
    ) as settings:
        ensure_topics(settings.kafka)
        publish_shop(settings)
        process = subprocess.Popen([sys.executable, "-m", "api"], env=os.environ.copy())
        api = ShopApi(settings)
        try:
            until(
                lambda: api.get("/health/ready").json()["checks"]["published"],
                120,
                not_yet=(requests.RequestException,),
            )
            yield api
        finally:
            process.terminate()
            process.wait(30)
