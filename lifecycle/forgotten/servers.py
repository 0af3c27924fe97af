"""The search for a user in Redis, Kafka and Elasticsearch."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, cast

from compat.feast_rows import row_key
from features import Schema
from lifecycle.forgotten.mentions import Mentions
from offline.data import readers
from settings import Settings
from stores import FeatureBatch, Log, Logged, NotPublished, StateStores
from stores.elasticsearch import ItemIndex
from stores.kafka.dead_letters import LetterError, read_letter
from stores.kafka.feature_log import FeatureLogError
from stores.kafka.record_owner import is_of_item
from stores.redis.connection import Client, reachable
from stores.redis.published_runs import IDS

SCANNED = 1000
"""Keys of Redis that are looked at at once."""

BY_USER = (b"users", b"evicted")
"""Hashes of a shard whose fields are users."""

OF_USERS = b"unwritten"
"""The set of a shard whose members are users."""

OF_ITEMS = b"catalogue"
"""The hash of a shard that holds changed items, whose titles may be any text."""


def in_redis(client: Client, mentions: Mentions) -> Iterator[str]:
    """The places in Redis that name a user.

    Raises:
        Unreachable: if Redis does not answer.
    """
    of_user = re.compile(rb"\}:(profile|seen):%s$" % re.escape(mentions.key))
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
    kind, name = cast(bytes, client.type(cast(Any, key))), key.rsplit(b":", 1)[-1]
    if kind == b"string":
        if mentions.within(cast("bytes | None", client.get(cast(Any, key)))):
            yield ""
    elif kind == b"set":
        if name == OF_USERS and client.sismember(cast(Any, key), cast(Any, mentions.key)):
            yield ""
    elif kind == b"hash" and name != OF_ITEMS:
        by_user = name in BY_USER
        for field, value in client.hscan_iter(cast(Any, key), count=SCANNED):
            is_known = mentions.userid in json.loads(value)["users"] if key == IDS.encode() else False
            if is_known or (by_user and field == mentions.key) or mentions.within(field) or mentions.within(value):
                yield f"field {field.decode('utf-8', 'backslashreplace')}"


def in_kafka(settings: Settings, mentions: Mentions) -> Iterator[str]:
    """The records in Kafka that name a user, by topic; the whole of each topic is read.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    kafka, schema = settings.kafka, _schema(settings)
    topics: dict[str, Callable[[Logged, Mentions], bool]] = {
        kafka.topic: is_of_user,
        kafka.dead_topic: _is_letter_of,
        kafka.features_topic: partial(_has_inputs_of, schema),
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
    """Tell whether a record is a user's, or names the user; that of an item of the same id is neither."""
    if is_of_item(record.value):
        return False
    return record.key == mentions.key or mentions.within(record.value) or mentions.within(record.key)


def _is_letter_of(record: Logged, mentions: Mentions) -> bool:
    try:
        letter = read_letter(record)
    except LetterError:
        return is_of_user(record, mentions)
    if is_of_item(letter.value):
        return False
    reason = letter.reason.encode(errors="backslashreplace")
    return letter.key == mentions.key or mentions.within(letter.value) or mentions.within(reason)


def _schema(settings: Settings) -> Schema:
    """The schema of the live state; where there is none, that of the data set as far as its description tells."""
    try:
        return StateStores.live(settings).published.schema()
    except NotPublished:
        return Schema(readers.description(settings))


def _has_inputs_of(schema: Schema, record: Logged, mentions: Mentions) -> bool:
    try:
        return mentions.userid in FeatureBatch.unpack(record.value, schema).userids
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
