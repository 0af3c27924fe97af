"""Trimming: deleting from the log in Kafka what is folded into the state and archived."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import UnknownBrokerIdError

from settings import Settings
from stores.archive.archive import Archive
from stores.archive.continuation import require_own_archive
from stores.kafka.client import connected, reachable
from stores.kafka.log_check import Checked, LogIdentity, ShardPosition
from stores.kafka.log_probe import LogProbe
from stores.redis.connection import Client, connect
from stores.redis.generations import Generations
from stores.redis.profiles import Profiles
from stores.redis.publish_lock import holder_of
from stores.redis.shard_log import ShardLogs
from stores.redis.state_stores import StateStores

AGAIN_S = 0.1
"""Seconds between two attempts to delete."""

WAITING_FOR_DROP = (
    "they stay for the state that `reelstream rebuild --back` returns to, until `reelstream rebuild --drop` deletes it"
)


@dataclass(frozen=True)
class Trimming:
    """Offsets deleted from a partition of the log.

    Attributes:
        partition: its number.
        began: offset of its first record before.
        begins: offset of its first record now.
    """

    partition: int
    began: int
    begins: int


@dataclass(frozen=True)
class TrimmedLog:
    """The result of trimming.

    Attributes:
        deleted: the partitions of which something was deleted.
        kept_for_previous: offsets that stay only because the state from before a rebuild needs them if it is switched
            back to; once it is dropped, they can be deleted.
    """

    deleted: list[Trimming]
    kept_for_previous: int


def trim(settings: Settings) -> TrimmedLog:
    """Delete from the log what is both in the state, with its feature rows, and in the archive.

    The files that have it are read and their hashes checked before anything is deleted. The last record folded always
    stays, by which a log is recognized as the state's own, and so do the newest `archive.keep_events` offsets. A
    partition that is stopped is left alone. A generation of the state that can be switched back to, and one that is
    being built, find in the log what they have not folded.

    Raises:
        ArchiveError: if the archive is damaged, or that of another log.
        Unreachable: if a store does not answer.
    """
    archive = Archive(settings.archive_folder)
    client = connect(settings.redis)
    probe = LogProbe(settings.kafka, settings.log_heads)
    deleted, kept = list[Trimming](), 0
    try:
        with archive.locked():
            live = StateStores.live(settings, client)
            # Read first: what is visible only grows, and what is applied is never behind it.
            visible = live.profiles.visible_offsets()
            checks = probe.check(ShardLogs(live.profiles).positions())
            # Read after the live one: a generation that is begun later is folded at least as far.
            needs = Needs.read(settings, client, live.generation, {n: each.bounds.log for n, each in checks.items()})
            require_own_archive(archive, probe)
            for partition, checked in checks.items():
                limit = _limit(archive, checked, visible[partition], settings.archive.keep_events)
                limit = min(limit, needs.others.get(partition, limit))
                begin, end = checked.bounds.start, min(limit, needs.previous.get(partition, limit))
                kept += max(0, limit - max(begin, end))
                if end > begin:
                    _read_again(archive, partition, begin, end)
                    deleted.append(Trimming(partition, begin, end))
            _delete(settings, {each.partition: each.begins for each in deleted})
    finally:
        probe.close()
        client.close()
    return TrimmedLog(deleted, kept)


def _limit(archive: Archive, checked: Checked, visible: int | None, keep: int) -> int:
    """Offset before which a partition of the log can be deleted; 0 where nothing can."""
    position, bounds = checked.position, checked.bounds
    covered = archive.bounds(bounds.partition)
    if checked.why is not None or position.stopped is not None or covered is None or covered[0] > bounds.start:
        return 0
    if position.applied is None or position.tail is None or position.log != bounds.log or visible is None:
        return 0
    return min(position.tail.offset, position.applied, visible, covered[1], bounds.end - keep)


@dataclass(frozen=True)
class Needs:
    """Offsets of the log that generations of the state other than the live one need.

    Attributes:
        previous: by partition, the offset from which on the one that can be switched back to needs it.
        others: by partition, the first offset from which on one that may go live needs it.
    """

    previous: dict[int, int]
    others: dict[int, int]

    @classmethod
    def read(cls, settings: Settings, client: Client, live: str, logs: Mapping[int, LogIdentity]) -> Needs:
        """Read them from Redis; raises Unreachable.

        A generation whose rebuild has died is never put live and needs nothing: whoever builds one holds the lock.

        Args:
            live: the live generation.
            logs: by partition, the log.
        """
        generations = Generations(client)
        found, unused = generations.live(), generations.unused()
        building = unused if holder_of(client) is not None else []
        previous = {found.previous} - {None, live}
        needs: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for name in {found.name, found.previous, *building} - {None, live}:
            of_kind = needs[name not in previous]
            for partition, begin in _needs_of(StateStores.of(settings, str(name), client).profiles, logs).items():
                of_kind[partition] = min(begin, of_kind.get(partition, begin))
        return cls(*needs)


def _needs_of(profiles: Profiles, logs: Mapping[int, LogIdentity]) -> dict[int, int]:
    """By partition, the offset from which on a generation needs the log; without partitions that it does not need."""
    visible = profiles.visible_offsets()
    begins = {
        partition: needs_from(position, visible[partition], logs[partition])
        for partition, position in ShardLogs(profiles).positions().items()
        if partition in logs
    }
    return {partition: begin for partition, begin in begins.items() if begin is not None}


def needs_from(position: ShardPosition, visible: int | None, log: LogIdentity) -> int | None:
    """Offset from which on a generation needs a partition of the log if it is put live.

    Args:
        position: the generation's shard.
        visible: the last offset whose feature rows it has too.
        log: the log.

    Returns:
        The offset, 0 or less where it needs all; None where the shard was folded from another log, so that the
        generation cannot be put live.
    """
    if position.log is not None and position.log != log:
        return None
    if position.applied is None or visible is None:
        return 0
    return min(position.applied, visible, position.applied if position.tail is None else position.tail.offset)


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
        until = time.monotonic() + settings.kafka.timeout_s
        while True:
            try:
                admin.delete_records(offsets)
                return
            except UnknownBrokerIdError:  # the new client has not learned of the partition's leader yet
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN_S)
