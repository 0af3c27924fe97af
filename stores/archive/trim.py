"""Trimming: deleting from the log in Kafka what is folded into the state and archived."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition

from settings import Settings
from stores.archive.archive import Archive
from stores.archive.continuation import require_own_archive
from stores.kafka.client import connected, reachable
from stores.kafka.log_check import Checked
from stores.kafka.log_probe import LogProbe
from stores.redis.connection import connect
from stores.redis.profiles import Profiles
from stores.redis.shard_log import ShardLogs


@dataclass(frozen=True)
class Trimming:
    """What was deleted from a partition of the log.

    Attributes:
        partition: its number.
        began: offset of its first record before.
        begins: offset of its first record now.
    """

    partition: int
    began: int
    begins: int


def trim(settings: Settings) -> list[Trimming]:
    """Delete from the log what is both in the state, with its feature rows, and in the archive.

    The files that have it are read and their hashes checked before anything is deleted. The last record folded always
    stays, by which a log is recognized as the state's own, and so do the newest `archive.keep_events` offsets. A
    partition that is stopped is left alone.

    Returns:
        The partitions of which something was deleted.

    Raises:
        ArchiveError: if the archive is damaged, or that of another log.
        Unreachable: if a store does not answer.
    """
    archive = Archive(settings.archive_folder)
    client = connect(settings.redis)
    profiles = Profiles(client, settings.kafka.topic, settings.kafka.partitions)
    probe = LogProbe(settings.kafka, settings.log_heads)
    try:
        with archive.locked():
            # Read first: what is visible only grows, and what is applied is never behind it.
            visible = profiles.visible_offsets()
            checks = probe.check(ShardLogs(profiles).positions())
            require_own_archive(archive, probe)
            limits = {
                partition: limit
                for partition, checked in checks.items()
                if (limit := _limit(archive, checked, visible[partition], settings.archive.keep_events))
                > checked.bounds.start
            }
            for partition, limit in limits.items():
                _read_again(archive, partition, checks[partition].bounds.start, limit)
            _delete(settings, limits)
    finally:
        probe.close()
        client.close()
    return [Trimming(partition, checks[partition].bounds.start, limit) for partition, limit in limits.items()]


def _limit(archive: Archive, checked: Checked, visible: int | None, keep: int) -> int:
    """Offset before which a partition of the log can be deleted; 0 where nothing can."""
    position, bounds = checked.position, checked.bounds
    covered = archive.bounds(bounds.partition)
    if checked.why is not None or position.stopped is not None or covered is None or covered[0] > bounds.start:
        return 0
    if position.applied is None or position.tail is None or position.log != bounds.log or visible is None:
        return 0
    return min(position.tail.offset, position.applied, visible, covered[1], bounds.end - keep)


def _read_again(archive: Archive, partition: int, first: int, end: int) -> None:
    """Read the files that cover the offsets from `first` to the one before `end`; raises ArchiveError."""
    for file in archive.files(partition):
        if file.end > first and file.first < end:
            archive.read(file)


def _delete(settings: Settings, limits: Mapping[int, int]) -> None:
    if not limits:
        return
    offsets = {TopicPartition(settings.kafka.topic, partition): limit for partition, limit in limits.items()}
    with reachable(settings.kafka), closing(connected(KafkaAdminClient, settings.kafka)) as admin:
        admin.delete_records(offsets)
