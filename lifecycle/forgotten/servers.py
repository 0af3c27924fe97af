"""The search for a user in Redis, Kafka and Elasticsearch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import numpy as np

from compat.feast import row_key
from lifecycle.forgotten.mentions import Mentions
from settings import Settings
from stores import FeatureBatch, Log, Logged
from stores.elasticsearch import ItemIndex
from stores.kafka.dead_letters import LetterError, read_letter
from stores.kafka.feature_log import FeatureLogError
from stores.redis.connection import Client, reachable

SCANNED = 1000
"""Keys of Redis that are looked at at once."""

BY_USER = (b"users", b"evicted")
"""Hashes of a shard whose fields are users."""


def in_redis(client: Client, mentions: Mentions) -> Iterator[str]:
    """The places in Redis that name a user.

    Raises:
        Unreachable: if Redis does not answer.
    """
    of_user = re.compile(rb"\}:(profile|seen):%d$" % mentions.userid)
    row = row_key("", "userid", mentions.userid)
    with reachable():
        keys = cast("Iterator[bytes]", client.scan_iter(count=SCANNED))
        for key in keys:
            name = key.decode("utf-8", "backslashreplace")
            if of_user.search(key):
                yield name
            elif key.startswith(row):
                yield f"feature row {key.removeprefix(row).decode('utf-8', 'replace')}"
            else:
                yield from (f"{name} {place}".rstrip() for place in _within(client, key, mentions))


def _within(client: Client, key: bytes, mentions: Mentions) -> Iterator[str]:
    """The places in the value of a key that name the user."""
    kind = cast(bytes, client.type(cast(Any, key)))
    if kind == b"string":
        if mentions.within(cast("bytes | None", client.get(cast(Any, key)))):
            yield ""
    elif kind == b"hash":
        by_user = key.rsplit(b":", 1)[-1] in BY_USER
        for field, value in client.hscan_iter(cast(Any, key), count=SCANNED):
            if (by_user and field == mentions.key) or mentions.within(field) or mentions.within(value):
                yield f"field {field.decode('utf-8', 'backslashreplace')}"


def in_kafka(settings: Settings, mentions: Mentions) -> Iterator[str]:
    """The records in Kafka that name a user, by topic; the whole of each topic is read.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    kafka = settings.kafka
    topics = {
        kafka.topic: is_of_user,
        kafka.dead_topic: _is_letter_of,
        kafka.features_topic: _has_inputs_of,
        kafka.alarms_topic: is_of_user,
    }
    for topic, names_user in topics.items():
        found: Counter[int] = Counter()
        with closing(Log(kafka, topic)) as log:
            for records in log.read_to(log.ends()):
                found.update(record.partition for record in records if names_user(record, mentions))
        for partition, n in sorted(found.items()):
            yield f"topic {topic}, partition {partition}: {n} record{'s' if n > 1 else ''}"


def is_of_user(record: Logged, mentions: Mentions) -> bool:
    """Tell whether a record is a user's, or names the user."""
    return record.key == mentions.key or mentions.within(record.value) or mentions.within(record.key)


def _is_letter_of(record: Logged, mentions: Mentions) -> bool:
    try:
        letter = read_letter(record)
    except LetterError:
        return is_of_user(record, mentions)
    reason = letter.reason.encode(errors="backslashreplace")
    return letter.key == mentions.key or mentions.within(letter.value) or mentions.within(reason)


def _has_inputs_of(record: Logged, mentions: Mentions) -> bool:
    try:
        return bool(np.any(FeatureBatch.unpack(record.value).userid == mentions.userid))
    except FeatureLogError:
        return mentions.within(record.value)


def in_elasticsearch(settings: Settings, mentions: Mentions) -> Iterator[str]:
    """The documents that name a user; none does, as indices hold items alone.

    Raises:
        Unreachable: if Elasticsearch does not answer.
    """
    with closing(ItemIndex(settings.elasticsearch)) as index:
        if n := index.naming("userid", mentions.userid):
            yield f"{n} documents"
