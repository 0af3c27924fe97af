"""Dead events: looked at, and sent again once the cause is mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from settings import KafkaSettings
from stores import Log, abandon, partition_of, producer
from stores.events import reachable

WITHIN_S = 30.0
"""Seconds that Kafka gets to take each event that is sent again."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead event.

    Attributes:
        partition, offset: where it stood in the log.
        reason: why it is dead.
        key, value: as they stood in the log.
    """

    partition: int
    offset: int
    reason: str
    key: bytes | None
    value: bytes | None


def dead_events(settings: KafkaSettings) -> Iterator[Dead]:
    """The dead events, each position once, in the order in which they were found.

    An event whose worker was killed just then may stand there twice; the first is taken.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    told: set[tuple[int, int]] = set()
    log = Log(settings, settings.dead_topic)
    try:
        for batch in log.read_to(log.ends()):
            for record in batch:
                fields = json.loads(record.value or b"{}")
                position = (fields["partition"], fields["offset"])
                if position not in told:
                    told.add(position)
                    yield Dead(*position, fields["reason"], _bytes(fields["key"]), _bytes(fields["value"]))
    finally:
        log.close()


def resend(settings: KafkaSettings, wanted: Callable[[Dead], bool]) -> int:
    """Put dead events on the topic again, as they were; the number sent.

    One that is still bad dies again, with its new position; one that is good by now counts, and once only, however
    often it is sent. Events without a readable key go to the partition in which they stood.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    chosen = [event for event in dead_events(settings) if wanted(event)]
    client = producer(settings)
    try:
        with reachable(settings):
            sent = [
                client.send(settings.topic, key=event.key, value=event.value, partition=_partition(event, settings))
                for event in chosen
            ]
            for future in sent:
                future.get(timeout=WITHIN_S)
    except BaseException:
        abandon(client)
        raise
    client.close()
    return len(chosen)


def _partition(event: Dead, settings: KafkaSettings) -> int:
    if event.key is not None and event.key.isdigit():
        return partition_of(int(event.key), settings.partitions)
    return event.partition


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
