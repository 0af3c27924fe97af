"""Real servers in a state folder of the tests' own, on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, TopicPartition

import servers
from settings import Settings, load
from stores import connect, delete_topics, ensure_topics
from stores.kafka.client import connected
from tests.servers_fixture import own_environment


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings, also in the environment, for a state folder of one test; what it started is stopped afterwards."""
    with own_environment(tmp_path / "state") as made:
        yield made
        servers.down(made)


@contextmanager
def two_partitions(kafka_server: Settings, redis: Settings, folder: Path, **variables: str) -> Iterator[Settings]:
    """Settings with Kafka, whose topics are empty and have two partitions, with an empty Redis and state folder."""
    delete_topics(kafka_server.kafka)
    with closing(connect(redis.redis)) as client:
        client.flushall()
    with own_environment(
        folder / "state",
        REELSTREAM_KAFKA__BOOTSTRAP=kafka_server.kafka.bootstrap,
        REELSTREAM_KAFKA__PARTITIONS="2",
        REELSTREAM_REDIS__PORT=str(redis.redis.port),
        REELSTREAM_REDIS__PASSWORD=redis.redis.secret,
        **variables,
    ):
        made = load()
        ensure_topics(made.kafka)
        yield made
    delete_topics(kafka_server.kafka)


def delete_before(settings: Settings, offsets: dict[int, int]) -> None:
    """Let Kafka delete the events of each partition before an offset."""
    with closing(connected(KafkaAdminClient, settings.kafka)) as admin:
        admin.delete_records(
            {TopicPartition(settings.kafka.topic, partition): offset for partition, offset in offsets.items()}
        )


def processes_of(settings: Settings) -> list[str]:
    """The command lines of all processes that name the state folder or run in it, of whatever parent."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            inside = process.cwd().startswith(str(settings.state))
        except psutil.Error:
            continue
        if inside or str(settings.state) in command:
            found.append(command)
    return found
