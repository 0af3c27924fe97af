"""Findings of drift so far, to be kept where the log and its counts are not: findings, alarms, acknowledgements."""

from __future__ import annotations

import json
from typing import Any, cast

from stores.redis.connection import Client, reachable
from stores.redis.drift import TAG

TEXTS, HASHES, LISTS = ("now", "trained"), ("histograms", "acknowledged"), ("timeline", "closed", "quality")
"""Keys by the type of their values. Open alarms belong to the counts, and are found again where they last."""


def read_record(client: Client) -> bytes:
    """Read the findings, at one moment, as JSON; raises Unreachable if Redis does not answer."""
    read = client.pipeline(transaction=True)
    for name in TEXTS:
        read.get(f"{TAG}:{name}")
    for name in HASHES:
        read.hgetall(f"{TAG}:{name}")
    for name in LISTS:
        read.lrange(f"{TAG}:{name}", 0, -1)
    with reachable():
        values = read.execute()
    found = dict(zip((*TEXTS, *HASHES, *LISTS), map(_text, values), strict=True))
    return json.dumps(found, indent=1, sort_keys=True).encode()


def write_record(client: Client, record: bytes) -> None:
    """Write findings in place of those that there are; raises Unreachable if Redis does not answer."""
    found: dict[str, Any] = json.loads(record)
    write = client.pipeline(transaction=True)
    for name in (*TEXTS, *HASHES, *LISTS):
        write.delete(f"{TAG}:{name}")
        value = found.get(name)
        if value and name in TEXTS:
            write.set(f"{TAG}:{name}", value)
        elif value and name in HASHES:
            write.hset(f"{TAG}:{name}", mapping=value)
        elif value:
            write.rpush(f"{TAG}:{name}", *value)
    with reachable():
        write.execute()


def _text(value: object) -> object:
    """The same with text in place of bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {cast(bytes, name).decode(): cast(bytes, text).decode() for name, text in value.items()}
    return [text.decode() for text in value] if isinstance(value, list) else value
