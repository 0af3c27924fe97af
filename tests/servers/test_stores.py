"""All four stores, together, as `up` starts them."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
import requests
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from redis import Redis

import servers
from settings import Settings, load
from tests.servers.conftest import processes_of
from tests.servers_fixture import free_ports_environment

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings under which the four stores are up."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in free_ports_environment(tmp_path_factory.mktemp("stores") / "state").items():
            patch.setenv(name, value)
        settings = load()
        try:
            servers.up(settings, only=servers.STORES)
            yield settings
        finally:
            servers.down(settings)


def test_every_store_is_healthy_once_up_returns(stores: Settings) -> None:
    parts = {part.name: part for part in servers.status(stores) if part.name in servers.STORES}
    assert list(parts) == list(servers.STORES)
    assert all(part.healthy and part.pid and part.memory_mb > 1 for part in parts.values()), parts


def test_every_part_listens_on_the_loopback_only(stores: Settings) -> None:
    for name in servers.STORES:
        process = psutil.Process(servers.pid(stores, name))
        for each in (process, *process.children(recursive=True)):
            listening = [c for c in each.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} <= {"127.0.0.1"}, name


def test_data_survive_down_and_up_and_down_leaves_no_process(stores: Settings) -> None:
    _write(stores)
    assert sorted(servers.down(stores)) == sorted(servers.STORES)
    assert processes_of(stores) == []
    servers.up(stores, only=servers.STORES)
    _read(stores)


def _write(settings: Settings) -> None:
    with Redis("127.0.0.1", settings.redis.port) as redis:
        redis.set("film", "Alien")
    answer = requests.put(f"{settings.elasticsearch.url}/films/_doc/1", json={"title": "Alien"}, timeout=10)
    answer.raise_for_status()
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    admin.create_topics([NewTopic("films", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap, acks="all")
    # The year 2000: with retention by time, the event would be gone.
    producer.send("films", b"Alien", timestamp_ms=946_684_800_000).get(timeout=10)
    producer.close()


def _read(settings: Settings) -> None:
    with Redis("127.0.0.1", settings.redis.port) as redis:
        assert redis.get("film") == b"Alien"
    answer = requests.get(f"{settings.elasticsearch.url}/films/_doc/1", timeout=10)
    assert answer.json()["_source"] == {"title": "Alien"}
    consumer = KafkaConsumer(
        "films",
        bootstrap_servers=settings.kafka.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=10_000,
    )
    assert next(consumer).value == b"Alien"
    consumer.close()
