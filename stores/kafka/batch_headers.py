"""Raw batch headers of the log, which tell an offset that never held an event from one whose event is lost.

Offsets of a partition that no record is delivered for are holes. A marker that commits or aborts a transaction takes an
offset, and so do the records of an aborted transaction: expected holes, which the headers of their batches show. An
offset that no batch accounts for held an event once: compaction, retention or a damaged log took it. The clients
deliver neither kind, and say nothing about it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from compat.kafka_python import read_batch_runs
from settings import KafkaSettings
from stores.errors import Unreachable
from stores.kafka.client import connected, reachable

WITHIN_S = 20.0
"""Seconds without progress after which Kafka counts as unreachable."""


@dataclass(frozen=True, slots=True)
class Run:
    """Offsets that the log accounts for.

    Attributes:
        first: the first of them.
        end: the one after the last of them.
        events: True if they hold events; False if they hold a marker or the records of an aborted transaction.
    """

    first: int
    end: int
    events: bool


def lost(hole: tuple[int, int], runs: Sequence[Run]) -> tuple[int, int] | None:
    """Return the first offsets within a hole, as (first, end), that no run accounts for; None if all are.

    >>> lost((3, 9), [Run(2, 5, False), Run(7, 12, True)])
    (5, 7)
    """
    at, end = hole
    for run in runs:
        if run.first > at:
            return at, min(run.first, end)
        at = max(at, run.end)
        if at >= end:
            return None
    return at, end


def holds_events(hole: tuple[int, int], runs: Sequence[Run]) -> bool:
    """Return True if any run within a hole holds events.

    >>> holds_events((3, 9), [Run(2, 5, False), Run(7, 12, True)])
    True
    """
    return any(run.events and run.first < hole[1] and run.end > hole[0] for run in runs)


def read_runs(
    settings: KafkaSettings, partition: int, first: int, end: int, *, up_to_events: bool = False
) -> list[Run]:
    """Return what a partition of the log accounts for from offset `first` up to before `end`, in order.

    Args:
        settings: where Kafka is.
        partition: the partition.
        first, end: offsets.
        up_to_events: end with the first run that holds events, however many follow.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    runs = []
    with closing(_runs(settings, partition, first, end)) as found:
        for run in found:
            runs.append(run)
            if up_to_events and run.events:
                break
    return runs


def _runs(settings: KafkaSettings, partition: int, first: int, end: int) -> Generator[Run]:
    topic = TopicPartition(settings.topic, partition)
    with reachable(settings), closing(_reader(settings)) as consumer:
        consumer.assign([topic])
        begins = consumer.beginning_offsets([topic])[topic]
        ends = min(end, consumer.end_offsets([topic])[topic])
        at = max(first, begins)
        if at >= ends:
            return
        consumer.seek(topic, at)
        until = time.monotonic() + WITHIN_S
        while at < ends:
            runs = consumer.poll(timeout_ms=200).get(topic, ())
            if consumer.position(topic) > at:
                at, until = consumer.position(topic), time.monotonic() + WITHIN_S
            for run in runs:
                if run.offset < ends:
                    yield Run(max(run.offset, first), min(run.key, ends), run.value)
            if time.monotonic() > until:
                raise Unreachable(
                    f"Kafka did not deliver partition {partition} from offset {at} on within {WITHIN_S:.0f} s"
                )


def _reader(settings: KafkaSettings) -> Any:
    consumer = connected(
        KafkaConsumer,
        settings,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=10_000,
    )
    read_batch_runs(consumer)
    return consumer
