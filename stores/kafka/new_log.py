"""A new log that continues at the offsets at which another one ended.

Kafka gives offsets itself, from 0. So each partition is filled with records without key and value up to the offset
before the one at which it must begin, and these are deleted at once: what is left is an empty log with that beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

from kafka import KafkaAdminClient, TopicPartition

from settings import KafkaSettings
from stores.errors import LogError
from stores.kafka.client import connected, reachable
from stores.kafka.log_check import LogBounds
from stores.kafka.log_probe import LogProbe
from stores.kafka.producer import Record, Sender

TOGETHER = 20_000
"""Records appended together."""

WITHIN_S = 60.0
"""Seconds that Kafka gets to take them."""


def begin_at(
    settings: KafkaSettings, probe: LogProbe, offsets: Mapping[int, int], progress: Callable[[float], None]
) -> dict[int, LogBounds]:
    """Let an empty topic of the events begin at these offsets.

    Args:
        settings: of Kafka.
        probe: asks for the bounds of the log.
        offsets: by partition.
        progress: called with the share that is done.

    Returns:
        The bounds of the log as it is then.

    Raises:
        LogError: if somebody else has appended to it meanwhile.
        Unreachable: if Kafka does not answer.
    """
    total, done = max(1, sum(offsets.values())), 0
    with Sender(settings, WITHIN_S, compression_type="gzip") as send:
        for partition, end in offsets.items():
            for first in range(0, end, TOGETHER):
                filler = [Record(None, b"", partition=partition)] * min(TOGETHER, end - first)
                for refused in send(settings.topic, filler).values():
                    raise LogError(f"Kafka refuses to append to topic {settings.topic}: {refused}")
                done += len(filler)
                progress(done / total)
    _require_ends(settings, probe.bounds(), offsets)
    wanted = {TopicPartition(settings.topic, partition): end for partition, end in offsets.items() if end}
    if wanted:
        with reachable(settings), closing(connected(KafkaAdminClient, settings)) as admin:
            admin.delete_records(wanted)
    return probe.bounds()


def _require_ends(settings: KafkaSettings, bounds: Mapping[int, LogBounds], offsets: Mapping[int, int]) -> None:
    for partition, end in offsets.items():
        if bounds[partition].high != end:
            raise LogError(
                f"partition {partition} of topic {settings.topic} ends at offset {bounds[partition].high} instead of "
                f"{end}: something else appends to it; stop it and run the command again"
            )
