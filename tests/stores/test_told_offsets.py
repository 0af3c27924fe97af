"""Visible offsets that workers tell: who waits hears them at once, of the generation that is live, also after Redis."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

import servers
from api.positions import Waits
from settings import Settings
from stores import Profiles, ToldOffsets, Unreachable, connect
from stores.redis.connection import Client
from stores.redis.generations import FIRST
from stores.redis.shard_offsets import ShardOffsets
from tests.movielens import SCHEMA
from tests.polling import until


def shards(client: Client, generation: str = FIRST) -> Profiles:
    return Profiles(client, "ratings", 2, generation, schema=SCHEMA)


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


def test_what_was_told_of_a_state_that_was_begun_anew_is_forgotten(client: Client) -> None:
    live = shards(client)
    told = listening(ToldOffsets(lambda: live))
    live.set_visible_offsets({0: 100, 1: 100})
    assert told.wait(0, 5, 10.0) and told.wait(1, 5, 10.0)
    told.forget(0)
    assert not told.wait(0, 5, 0.05) and told.wait(1, 5, 0.05)
    client.flushall()
    live.set_visible_offsets({0: 5})
    assert told.wait(0, 5, 10.0)
    told.close()


def test_a_request_that_was_told_of_an_earlier_state_does_not_ask_redis_without_a_pause(client: Client) -> None:
    live, looks = shards(client), list[float]()

    class Counted(ShardOffsets):
        def visible_offset(self, shard: int) -> int:
            looks.append(time.monotonic())
            return super().visible_offset(shard)

    counted: Any = Counted(client, "ratings", 2)
    told = listening(ToldOffsets(lambda: counted))
    live.set_visible_offsets({0: 100})
    assert told.wait(0, 100, 10.0)
    client.flushall()
    ends: Any = SimpleNamespace(holds=lambda shard, offset, since: True)
    waits = Waits(lambda: counted, told, ends, places=1, timeout_s=1.0)
    assert not waits.wait_for(0, 50)
    assert len(looks) < 60
    told.close()


def test_offsets_are_visible_though_the_user_may_not_tell_them(client: Client, redis: Settings) -> None:
    client.acl_setuser("mute", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"], channels=[])
    user = {"username": "mute", "password": SecretStr("secret")}
    live = shards(connect(redis.redis.model_copy(update=user)))
    told = ToldOffsets(lambda: live)
    try:
        assert not told.wait(0, 4, 0.3) and not told.listening
        live.set_visible_offsets({0: 4})
        assert live.visible_offset(0) == 4
        assert not told.wait(0, 4, 0.3)
    finally:
        told.close()
        client.acl_deluser("mute")


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
