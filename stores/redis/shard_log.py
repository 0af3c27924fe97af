"""The place of each shard in its log, in Redis: `{ratings-3}:applied` and the hash `{ratings-3}:log`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from stores.kafka.log_check import LogIdentity, ShardPosition
from stores.kafka.record import Mark
from stores.redis.connection import reachable
from stores.redis.profiles import Profiles
from stores.redis.readable import readable_offset


class ShardLogs:
    """Reads and writes which log each shard is folded from; every method raises Unreachable if Redis does not answer.

    Args:
        profiles: the state.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def positions(self, shards: Iterable[int] | None = None) -> dict[int, ShardPosition]:
        """Return the place of some shards, or of each, in its log."""
        chosen = list(range(self._profiles.partitions) if shards is None else shards)
        read = self._profiles.client.pipeline(transaction=True)
        for shard in chosen:
            read.get(f"{self._profiles.tag(shard)}:applied")
            read.hgetall(f"{self._profiles.tag(shard)}:log")
        with reachable():
            answers = read.execute()
        return {
            shard: _position(applied, fields)
            for shard, applied, fields in zip(chosen, answers[::2], answers[1::2], strict=True)
        }

    def position(self, shard: int) -> ShardPosition:
        """Return the place of one shard in its log."""
        return self.positions([shard])[shard]

    def remember(self, shard: int, log: LogIdentity) -> None:
        """Note the log that a shard is folded from, in a state that was written before this was recorded."""
        fields = {"cluster": log.cluster, "topic": log.topic}
        with reachable():
            self._profiles.client.hset(f"{self._profiles.tag(shard)}:log", mapping=cast(Any, fields))

    def set_stopped(self, shard: int, why: str | None) -> None:
        """Note why a worker stopped a partition, or that it runs again."""
        key = f"{self._profiles.tag(shard)}:log"
        with reachable():
            if why is None:
                self._profiles.client.hdel(key, "stopped")
            else:
                self._profiles.client.hset(key, "stopped", why)

    def adopt(self, shard: int, log: LogIdentity, applied: int, lost: Sequence[tuple[int, int]]) -> None:
        """Let a shard continue in another log, or elsewhere in its own: its next record is the one after `applied`.

        Dead letters are counted again: the log that follows may hold records that were counted before.

        Args:
            lost: runs of offsets, as (first, end), that are passed over.
        """
        tag = self._profiles.tag(shard)
        write = self._profiles.client.pipeline(transaction=True)
        write.delete(f"{tag}:log", f"{tag}:dead")
        write.hset(
            f"{tag}:log", mapping=cast(Any, {"cluster": log.cluster, "topic": log.topic, "lost": json.dumps(lost)})
        )
        write.set(f"{tag}:applied", applied)
        write.set(f"{tag}:served", applied)
        with reachable():
            write.execute()


def _position(applied: bytes | None, fields: Mapping[bytes, bytes]) -> ShardPosition:
    """The place that is stored; without what cannot be read, which the fold reports."""
    known = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    try:
        tail = Mark.parse(known["tail"]) if "tail" in known else None
        lost = tuple((int(first), int(end)) for first, end in json.loads(known.get("lost", "[]")))
    except (ValueError, TypeError):
        tail, lost = None, ()
    return ShardPosition(
        applied=readable_offset(applied),
        log=LogIdentity(known["cluster"], known["topic"]) if {"cluster", "topic"} <= known.keys() else None,
        tail=tail,
        stopped=known.get("stopped"),
        lost=lost,
    )
