"""Events that nobody can understand."""

from __future__ import annotations

import json
import random

from features import Event
from tests.movielens import encode

Record = tuple[bytes | None, bytes | None, int]
"""Key, value and partition."""


def malformed(event: Event, partition: int, partitions: int, rng: random.Random) -> Record:
    """One good event made bad, in one of many ways."""
    key, value = encode(event)
    fields = json.loads(value)
    name = rng.choice(list(fields))
    wrong = rng.choice([None, True, -1, 0.5, "1", [], {}, 2**32, 10**30, "\x00"])
    made: list[tuple[bytes | None, bytes | None]] = [
        (key, rng.randbytes(rng.randrange(200))),
        (key, value[: rng.randrange(len(value))]),
        (key, None),
        (key, b"[" * 100_000),
        (key, b"9" * 100_000),
        (key, value.replace(b'"rating":', b'"rating":1e')),
        (None, value),
        (b"\xff" + key, value),
        (key + b" ", value),
        (key, json.dumps(fields | {name: wrong}).encode()),
        (key, json.dumps({other: fields[other] for other in fields if other != name}).encode()),
        (key, json.dumps({"schema_version": 3, "itemid": fields["itemid"], "version": 0, "withdrawn": True}).encode()),
        (key, json.dumps(fields | {"rating": rng.choice([0, 6, 100])}).encode()),
    ]
    if rng.randrange(10) == 0:
        return key, value, (partition + 1) % partitions
    return *rng.choice(made), partition
