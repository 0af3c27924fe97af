"""Dead letters in a backup, and those that a restored system must file itself.

A worker files the dead letters of a batch before it folds the batch, so all of those at or below `applied` are in the
topic. A restored state holds every record of the backup: the dead letters of records behind `applied` are filed by the
restore, as no worker will read these records again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing

from features import EventError, Item
from lifecycle.errors import LifecycleError
from settings import Settings
from stores import Log, Logged, decode_event
from stores.archive.archive import Archive
from stores.archive.record_file import pack, unpack
from stores.kafka.dead_letters import DeadLetters, LetterError, read_letter
from stores.kafka.producer import Record, Sender
from stores.kafka.topics import DEAD_BYTES

WITHIN_S = 30.0
"""Seconds that Kafka gets to take what is appended together."""

TOGETHER = 100
"""Letters appended together."""

TOPIC_PARTITION = 0


def read_letters(settings: Settings, ends: Sequence[int]) -> bytes:
    """Read the topic of dead letters, without those of records at or behind `ends`, as a file of records."""
    with closing(Log(settings.kafka, settings.kafka.dead_topic)) as log:
        records = [record for batch in log.read_to(log.ends()) for record in batch]
    return pack([record for record in records if _is_before(record, ends)])


def write_letters(settings: Settings, packed: bytes) -> set[tuple[int, int]]:
    """Append letters to the topic of dead letters; the positions of the records that they are about.

    Raises:
        LifecycleError: if Kafka refuses one.
        Unreachable: if Kafka does not answer.
    """
    letters = unpack(TOPIC_PARTITION, packed, "the file of dead letters")
    with Sender(settings.kafka, WITHIN_S, compression_type="lz4", max_request_size=DEAD_BYTES) as send:
        for start in range(0, len(letters), TOGETHER):
            records = [
                Record(each.key, each.value, [(name, value or b"") for name, value in each.headers])
                for each in letters[start : start + TOGETHER]
            ]
            for refused in send(settings.kafka.dead_topic, records).values():
                raise LifecycleError(f"Kafka refuses a dead letter of the backup: {refused}")
    return {position for each in letters if (position := _position(each)) is not None}


def file_missing(
    settings: Settings,
    archive: Archive,
    items: Mapping[int, Item],
    begins: Sequence[int],
    known: Collection[tuple[int, int]],
) -> int:
    """File the dead letters of archived records from `begins` on that have none; their number.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """
    file, filed = DeadLetters(settings.kafka, WITHIN_S), 0
    for partition, begin in enumerate(begins):
        for stored in archive.files(partition):
            records = archive.read(stored) if stored.end > begin else []
            dead = [
                (record, reason)
                for record in records
                if record.offset >= begin
                and (partition, record.offset) not in known
                and (reason := _reason(settings, items, len(begins), record)) is not None
            ]
            file(dead)
            filed += len(dead)
    return filed


def _reason(settings: Settings, items: Mapping[int, Item], partitions: int, record: Logged) -> str | None:
    """The reason why a record is dead; None if it is an event."""
    try:
        decode_event(record, items, partitions, settings.stream.max_future_s)
    except EventError as error:
        return str(error)
    return None


def _position(record: Logged) -> tuple[int, int] | None:
    """The position of the record that a letter is about; None of what is no letter."""
    try:
        letter = read_letter(record)
    except LetterError:
        return None
    return letter.partition, letter.offset


def _is_before(record: Logged, ends: Sequence[int]) -> bool:
    position = _position(record)
    return position is None or position[0] >= len(ends) or position[1] < ends[position[0]]
