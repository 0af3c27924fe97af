"""Dead letters in a backup, and those that a restored system must file itself.

A worker files the dead letters of a batch before it folds the batch, so all of those at or below `applied` are in the
topic. A restored state holds every record of the backup: the dead letters of records behind `applied` are filed by the
restore, as no worker will read these records again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing

from features import Event, EventError
from lifecycle.errors import LifecycleError
from offline.data.readers import Ratings
from offline.state.beginning import beginning_of
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
    settings: Settings, archive: Archive, ratings: Ratings, begins: Sequence[int], known: Collection[tuple[int, int]]
) -> int:
    """File the dead letters of archived records from `begins` on that have none; their number.

    Args:
        settings: all settings.
        archive: the archive, with all records of the log.
        ratings: the offline history.
        begins: by partition, an offset.
        known: positions of the records that have a letter.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """
    file, filed = DeadLetters(settings.kafka, WITHIN_S), 0
    too_many: Mapping[tuple[int, int], str] | None = None
    for partition, begin in enumerate(begins):
        for stored in archive.files(partition):
            dead = []
            for record in archive.read(stored) if stored.end > begin else []:
                if record.offset < begin or (partition, record.offset) in known:
                    continue
                try:
                    event = decode_event(record, ratings.schema, len(begins), settings.stream.max_future_s)
                except EventError as error:
                    dead.append((record, str(error)))
                    continue
                if isinstance(event, Event) and event.itemid not in ratings.catalogue.items:
                    too_many = _dead_in_fold(settings, ratings) if too_many is None else too_many
                    if reason := too_many.get((partition, record.offset)):
                        dead.append((record, reason))
            file(dead)
            filed += len(dead)
    return filed


def _dead_in_fold(settings: Settings, ratings: Ratings) -> dict[tuple[int, int], str]:
    """The reasons of all dead records by their positions, also where only the fold tells: too many events wait."""
    reasons: dict[tuple[int, int], str] = {}

    def note(record: Logged, reason: str) -> None:
        reasons[record.partition, record.offset] = reason

    beginning_of(settings, ratings, lambda share: None, note)
    return reasons


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
