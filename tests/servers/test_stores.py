"""All four stores, together, as `up` starts them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest
import requests
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

import servers
from settings import KafkaSettings, Settings
from stores import Log, abandon, connect, ensure_topics, producer
from stores.kafka.client import connected
from tests.servers.conftest import processes_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def test_every_store_is_healthy_once_up_returns(stores: Settings) -> None:
    components = {component.name: component for component in servers.status(stores) if component.name in servers.STORES}
    assert list(components) == list(servers.STORES)
    assert all(component.healthy and component.pid and component.memory_mb > 1 for component in components.values()), (
        components
    )


def test_every_part_listens_on_the_loopback_only(stores: Settings) -> None:
    for name in servers.STORES:
        process = psutil.Process(servers.pid(stores, name))
        for each in (process, *process.children(recursive=True)):
            listening = [c for c in each.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} <= {"127.0.0.1"}, name


@contextmanager
def stopped_kafka(stores: Settings) -> Iterator[None]:
    """A Kafka that takes connections and answers nothing."""
    process = psutil.Process(servers.pid(stores, "kafka"))
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_kafka_that_does_not_answer_is_known_within_seconds(stores: Settings) -> None:
    threads, began = set(threading.enumerate()), time.monotonic()
    with stopped_kafka(stores):
        kafka = next(component for component in servers.status(stores) if component.name == "kafka")
    assert not kafka.healthy
    assert time.monotonic() - began < 10
    assert set(threading.enumerate()) <= threads


def test_a_producer_that_is_abandoned_leaves_no_socket_behind(stores: Settings) -> None:
    ensure_topics(stores.kafka)
    client = producer(stores.kafka)
    client.send(stores.kafka.topic, b"first").get(timeout=10)
    with stopped_kafka(stores):
        for _ in range(20):
            client.send(stores.kafka.topic, random.randbytes(900_000))
        # More than the sockets take, so that a request stays half written.
        time.sleep(1)
        ours = open_to(stores.kafka)
        assert ours
        abandon(client)
        assert open_to(stores.kafka) == []


def test_a_producer_that_is_closed_instead_keeps_what_kafka_has_not_taken(stores: Settings) -> None:
    """Were it otherwise, `compat.kafka_python.abandon` would not be needed."""
    ensure_topics(stores.kafka)
    client = producer(stores.kafka)
    client.send(stores.kafka.topic, b"first").get(timeout=10)
    before = set(threading.enumerate())
    with stopped_kafka(stores):
        client.send(stores.kafka.topic, random.randbytes(900_000))
        with suppress(KafkaError):
            client.close(timeout=1.0)
        left = before & set(threading.enumerate()) - {threading.main_thread()}
        assert left and open_to(stores.kafka)
        abandon(client)
        assert open_to(stores.kafka) == []


def open_to(settings: KafkaSettings) -> list[Any]:
    """This process's connections to Kafka."""
    port = int(settings.bootstrap.rpartition(":")[2])
    return [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port]


def test_data_survive_down_and_up_and_down_leaves_no_process(stores: Settings) -> None:
    _write(stores)
    assert sorted(servers.down(stores)) == sorted(servers.STORES)
    assert processes_of(stores) == []
    servers.up(stores, only=servers.STORES)
    _read(stores)


def _write(settings: Settings) -> None:
    with connect(settings.redis) as redis:
        redis.set("film", "Alien")
    answer = requests.put(f"{settings.elasticsearch.url}/films/_doc/1", json={"title": "Alien"}, timeout=10)
    answer.raise_for_status()
    admin = connected(KafkaAdminClient, settings.kafka)
    admin.create_topics([NewTopic("films", num_partitions=1, replication_factor=1)])
    admin.close()
    client = producer(settings.kafka)
    # The year 2000: with retention by time, the event would be gone.
    client.send("films", b"Alien", timestamp_ms=946_684_800_000).get(timeout=10)
    client.close()


def _read(settings: Settings) -> None:
    with connect(settings.redis) as redis:
        assert redis.get("film") == b"Alien"
    answer = requests.get(f"{settings.elasticsearch.url}/films/_doc/1", timeout=10)
    assert answer.json()["_source"] == {"title": "Alien"}
    log = Log(settings.kafka, "films")
    assert [record.value for records in log.read_to(log.ends()) for record in records] == [b"Alien"]
    log.close()
