"""Visible offsets that workers tell: who waits hears them at once, of the generation that is live, also after Redis."""

from __future__ import annotations

import time

import pytest

import servers
from settings import Settings
from stores import Profiles, ToldOffsets, Unreachable, connect
from stores.redis.connection import Client
from stores.redis.generations import FIRST
from tests.movielens import SCHEMA
from tests.polling import until


def shards(client: Client, generation: str = FIRST) -> Profiles:
    return Profiles(client, "ratings", 2, generation, schema=SCHEMA)


@pytest.fixture
def client(redis: Settings) -> Client:
    client = connect(redis.redis)
    client.flushall()
    return client


def listening(told: ToldOffsets) -> ToldOffsets:
    told.wait(0, 0, 0.0)
    until(lambda: told.listening, 10)
    return told


def test_a_wait_ends_when_the_offset_or_a_later_one_is_told(client: Client) -> None:
    live = shards(client)
    told = listening(ToldOffsets(lambda: live))
    live.set_visible_offsets({0: 4, 1: 9})
    for shard, offset in ((0, 4), (1, 7)):
        began = time.monotonic()
        told.wait(shard, offset, 10.0)
        assert time.monotonic() - began < 5
    assert live.visible_offset(1) == 9
    began = time.monotonic()
    told.wait(0, 5, 0.2)
    assert time.monotonic() - began >= 0.2
    told.close()


def test_the_live_generation_is_listened_to(client: Client) -> None:
    generations = [shards(client), shards(client, "g2")]
    live = [generations[0]]
    told = listening(ToldOffsets(lambda: live[0]))
    generations[0].set_visible_offsets({0: 100})
    told.wait(0, 100, 10.0)
    live[0] = generations[1]

    def heard() -> bool:
        generations[1].set_visible_offsets({0: 3})
        told.wait(0, 3, 0.1)
        return told._told == {0: 3}

    until(heard, 10)
    told.close()


def test_it_listens_again_after_redis_was_away(redis: Settings, client: Client) -> None:
    live = shards(client)
    told = listening(ToldOffsets(lambda: live))
    servers.stop(redis, ["redis"])
    until(lambda: not told.listening, 10)
    with pytest.raises(Unreachable):
        live.set_visible_offsets({0: 1})
    servers.start(redis, ["redis"])
    until(lambda: told.listening, 20)
    live.set_visible_offsets({0: 2})
    began = time.monotonic()
    told.wait(0, 2, 10.0)
    assert time.monotonic() - began < 5
    told.close()
