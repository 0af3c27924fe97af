"""Members of Kafka's consumer group, as the workers are: who has their partitions once they are killed or stopped."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaConsumer

from compat.aiokafka import leave_when_stopped
from settings import Settings
from stores import ensure_topics

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SESSION_MS = 60_000
"""Time after which Kafka gives up a member that says nothing: far longer than the tests wait."""

WITHIN_S = 30.0

leave_when_stopped()


def member(settings: Settings, group: str, name: str) -> AIOKafkaConsumer:
    """A static member of a group, which has not joined it yet."""
    return AIOKafkaConsumer(
        settings.kafka.topic,
        bootstrap_servers=settings.kafka.bootstrap,
        group_id=group,
        group_instance_id=name,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=500,
    )


async def partitions(consumer: AIOKafkaConsumer) -> int:
    """The number of partitions that a member has once it has any."""
    while not consumer.assignment():
        await asyncio.sleep(0.05)
    return len(consumer.assignment())


@contextmanager
def member_to_be_killed(settings: Settings, group: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """A member in a process of its own, which has partitions."""
    bootstrap, topic = settings.kafka.bootstrap, settings.kafka.topic
    script = f"""
import asyncio, json
from aiokafka import AIOKafkaConsumer

async def follow():
    consumer = AIOKafkaConsumer({topic!r}, bootstrap_servers={bootstrap!r}, group_id={group!r},
                                group_instance_id={name!r}, session_timeout_ms={SESSION_MS})
    await consumer.start()
    while not consumer.assignment():
        await asyncio.sleep(0.05)
    print(json.dumps(len(consumer.assignment())), flush=True)
    await asyncio.sleep(300)

asyncio.run(follow())
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_member_that_was_killed_has_its_partitions_back_once_it_is_restarted(kafka_server: Settings) -> None:
    ensure_topics(kafka_server.kafka)
    with member_to_be_killed(kafka_server, "killed", "first") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == 2

    async def restarted() -> int:
        async with member(kafka_server, "killed", "first") as again:
            return await asyncio.wait_for(partitions(again), WITHIN_S)

    assert asyncio.run(restarted()) == 2


def test_another_member_has_the_partitions_of_one_that_was_stopped(kafka_server: Settings) -> None:
    ensure_topics(kafka_server.kafka)

    async def exchanged() -> int:
        async with member(kafka_server, "stopped", "first") as first:
            await asyncio.wait_for(partitions(first), WITHIN_S)
        async with member(kafka_server, "stopped", "second") as second:
            return await asyncio.wait_for(partitions(second), WITHIN_S)

    assert asyncio.run(exchanged()) == 2
