"""Dead letters and the feature log without erased users."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing

from kafka import KafkaAdminClient, TopicPartition

from features import Id, id_text
from settings import KafkaSettings, Settings
from stores import DriftStore, Log, Logged, StoreError, Unreachable
from stores.kafka.client import connected, reachable
from stores.kafka.dead_letters import LetterError, read_letter
from stores.kafka.producer import Record, Sender
from stores.kafka.record_owner import is_of_item
from stores.kafka.topics import DEAD_BYTES

WITHIN_S = 30.0
"""Seconds that Kafka gets to take the letters that stay."""


def rewrite_letters(settings: KafkaSettings, userids: Collection[Id]) -> int:
    """Delete the dead letters of users; the others are appended again, and what stood before is deleted.

    A process that dies in between leaves letters twice, of which readers take the first.

    Returns:
        The letters that are deleted.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    keys = {id_text(userid).encode() for userid in userids}
    topic = settings.dead_topic
    with closing(Log(settings, topic)) as log:
        ends = log.ends()
        records = [record for batch in log.read_to(ends) for record in batch]
    of_others = [record for record in records if not _is_of(record, keys)]
    if len(of_others) == len(records):
        return 0
    send = Sender(settings, WITHIN_S, compression_type="lz4", max_request_size=DEAD_BYTES)
    again = [
        Record(record.key, record.value, [(name, value or b"") for name, value in record.headers])
        for record in of_others
    ]
    if again and (refused := send(topic, again)):
        raise Unreachable(f"Kafka refuses {len(refused)} dead letters of {topic}, so that none is deleted")
    delete_before(settings, topic, ends)
    return len(records) - len(of_others)


def _is_of(record: Logged, keys: Collection[bytes]) -> bool:
    try:
        letter = read_letter(record)
    except LetterError:
        return record.key in keys
    return letter.key in keys and not is_of_item(letter.value)


def delete_counted_inputs(settings: Settings, store: DriftStore) -> int:
    """Delete from the feature log all that drift has counted, whoever it is of; how many messages.

    Raises:
        Unreachable: if a store does not answer.
    """
    topic = settings.kafka.features_topic
    try:
        position = store.position()
    except StoreError:
        raise
    except Exception as error:
        why = f"the position of drift in {topic} cannot be read ({error!r})"
        raise Unreachable(f"{why}; see `reelstream doctor`") from error
    with closing(Log(settings.kafka, topic)) as log:
        begin, end = log.begins().get(0, 0), log.ends().get(0, 0)
    limit = min(position + 1, end) if settings.drift.enabled else end
    if limit <= begin:
        return 0
    delete_before(settings.kafka, topic, {0: limit})
    return limit - begin


def delete_before(settings: KafkaSettings, topic: str, offsets: Mapping[int, int]) -> None:
    """Delete the records before offsets, by partition; raises Unreachable if Kafka does not answer."""
    limits = {TopicPartition(topic, partition): offset for partition, offset in offsets.items() if offset > 0}
    if limits:
        with reachable(settings), closing(connected(KafkaAdminClient, settings)) as admin:
            admin.delete_records(limits)
