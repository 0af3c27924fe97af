"""Dead letters: reading them, and sending their records again once the cause is fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from settings import KafkaSettings
from stores import Log, partition_of
from stores.kafka.dead_letters import DeadLetter, LetterError, read_letter
from stores.kafka.producer import Record, Sender
from stores.kafka.record_owner import is_of_item
from stores.kafka.topics import DEAD_BYTES, partitions_of_topic

WITHIN_S = 30.0
"""Seconds that Kafka gets to take the events that are sent again together."""

TOGETHER = 100
"""Events sent again together."""


@dataclass(frozen=True)
class Resent:
    """The outcome of sending dead letters again.

    Attributes:
        sent: events on the topic again.
        refused: the others, each with the reason.
    """

    sent: int
    refused: list[tuple[DeadLetter, str]]


def dead_events(settings: KafkaSettings) -> Iterator[DeadLetter]:
    """The dead letters, each position once, in the order in which they were found.

    An event whose worker was killed just then may stand there twice; the first is taken. A record that is no dead
    letter comes with its own position in the topic of dead letters, and cannot be sent again.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    positions: set[tuple[int, int]] = set()
    log = Log(settings, settings.dead_topic)
    try:
        for batch in log.read_to(log.ends()):
            for record in batch:
                try:
                    letter = read_letter(record)
                except LetterError as error:
                    reason = f"offset {record.offset} of {settings.dead_topic} {error}"
                    yield DeadLetter(record.partition, record.offset, reason, record.key, record.value, readable=False)
                    continue
                position = (letter.partition, letter.offset)
                if position not in positions:
                    positions.add(position)
                    yield letter
    finally:
        log.close()


def resend(settings: KafkaSettings, wanted: Callable[[DeadLetter], bool]) -> Resent:
    """Put dead letters on the topic again, with their keys and values, without their headers.

    One that is still bad dies again, with its new position; one that is good by now counts, and once only, however
    often it is sent. Events without a readable key go to the partition in which they stood. One of which the letter
    holds only a part is not sent. A change of an item goes to every partition once, however many letters it has.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    chosen, refused = [], []
    partitions = partitions_of_topic(settings)
    for letter in dead_events(settings):
        if wanted(letter):
            why = _unsendable(letter)
            if why:
                refused.append((letter, why))
            else:
                chosen.append(letter)
    places = [(letter, partition) for letter in _distinct(chosen) for partition in _partitions(letter, partitions)]
    failed: dict[tuple[int, int], tuple[DeadLetter, str]] = {}
    with Sender(settings, WITHIN_S, compression_type="gzip", max_request_size=DEAD_BYTES) as send:
        for start in range(0, len(places), TOGETHER):
            part = places[start : start + TOGETHER]
            errors = send(settings.topic, [Record(each.key, each.value, (), at) for each, at in part])
            for place, error in errors.items():
                letter = part[place][0]
                failed[letter.partition, letter.offset] = letter, f"Kafka refuses it: {error}"
    return Resent(len(chosen) - len(failed), [*refused, *failed.values()])


def _distinct(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """The letters, of those of one change of an item the first."""
    changes: set[tuple[bytes | None, bytes | None]] = set()
    distinct = []
    for letter in letters:
        record = letter.key, letter.value
        if record not in changes:
            distinct.append(letter)
        if is_of_item(letter.value):
            changes.add(record)
    return distinct


def _partitions(letter: DeadLetter, partitions: int) -> Sequence[int]:
    """The partitions that a letter's record belongs to."""
    return range(partitions) if is_of_item(letter.value) else [_partition(letter, partitions)]


def _unsendable(letter: DeadLetter) -> str | None:
    """Return the reason why a letter cannot be sent again; None if it can."""
    if not letter.readable:
        return letter.reason
    for name in ("value", "key"):
        if name in letter.cut:
            return (
                f"it is truncated: its {name} had {letter.cut[name].length:,} bytes; "
                f"the whole record is in the log or the archive at {letter.partition}:{letter.offset}"
            )
    return "it has neither key nor value" if letter.key is None and letter.value is None else None


def _partition(event: DeadLetter, partitions: int) -> int:
    try:
        # An id as text has the partition of the id, whatever kind it is of.
        return event.partition if event.key is None else partition_of(event.key.decode(), partitions)
    except UnicodeDecodeError:
        return event.partition
