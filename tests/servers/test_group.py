"""A member of Kafka's consumer group that was killed, as a worker may be: who has its partitions, and when."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaConsumer

from settings import Settings
from stores import ensure_topics
from stores.errors import Unreachable
from stores.kafka.members import remove_members
from tests.polling import until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SESSION_MS = 60_000
"""Time after which Kafka gives up a member that says nothing: far longer than the tests wait."""

WITHIN_S = 30.0

MEMBER = """
import asyncio
from aiokafka import AIOKafkaConsumer

async def follow():
    consumer = AIOKafkaConsumer({topic!r}, bootstrap_servers={bootstrap!r}, group_id={group!r}, client_id={client_id!r},
                                session_timeout_ms={session_ms}, heartbeat_interval_ms=500)
    await consumer.start()
    while not consumer.assignment():
        await asyncio.sleep(0.05)
    print(len(consumer.assignment()), flush=True)
    await asyncio.sleep(300)

asyncio.run(follow())
"""


@contextmanager
def member(settings: Settings, group: str, client_id: str) -> Iterator[subprocess.Popen[str]]:
    """A member in a process of its own, which has partitions."""
    script = MEMBER.format(
        topic=settings.kafka.topic,
        bootstrap=settings.kafka.bootstrap,
        group=group,
        client_id=client_id,
        session_ms=SESSION_MS,
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        yield process
    finally:
        process.kill()
        process.communicate()


def partitions_of_a_new_member(settings: Settings, group: str, within_s: float) -> int:
    """The number of partitions that a member has which joins now; 0 if it has none in time."""

    async def join() -> int:
        consumer = AIOKafkaConsumer(
            settings.kafka.topic,
            bootstrap_servers=settings.kafka.bootstrap,
            group_id=group,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=500,
        )

        async def assigned() -> int:
            await consumer.start()
            while not consumer.assignment():
                await asyncio.sleep(0.05)
            return len(consumer.assignment())

        try:
            return await asyncio.wait_for(assigned(), within_s)
        except TimeoutError:
            return 0
        finally:
            await consumer.stop()

    return asyncio.run(join())


def test_the_partitions_of_a_member_that_was_killed_are_assigned_at_once(kafka_server: Settings) -> None:
    ensure_topics(kafka_server.kafka)
    with member(kafka_server, "killed", "first"):
        pass
    assert remove_members(kafka_server.kafka, "first", "killed") == 1
    assert partitions_of_a_new_member(kafka_server, "killed", WITHIN_S) == 2


def test_other_members_stay(kafka_server: Settings) -> None:
    ensure_topics(kafka_server.kafka)
    with member(kafka_server, "others", "first"):
        assert remove_members(kafka_server.kafka, "second", "others") == 0
        assert remove_members(kafka_server.kafka, "first", "none") == 0
        assert remove_members(kafka_server.kafka, "first", "others") == 1


def test_a_member_that_was_removed_while_it_runs_joins_again(kafka_server: Settings) -> None:
    ensure_topics(kafka_server.kafka)
    with member(kafka_server, "running", "first") as process:
        assert remove_members(kafka_server.kafka, "first", "running") == 1
        # Only a member can be removed.
        until(lambda: remove_members(kafka_server.kafka, "first", "running") == 1, WITHIN_S)
        assert process.poll() is None


def test_without_kafka_it_is_said_so(kafka_server: Settings) -> None:
    nowhere = kafka_server.kafka.model_copy(update={"bootstrap": "127.0.0.1:1", "timeout_s": 1.0})
    with pytest.raises(Unreachable):
        remove_members(nowhere, "first")
