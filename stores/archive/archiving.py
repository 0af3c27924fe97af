"""Writing what the log holds and the archive does not: one file of one partition at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from settings import KafkaSettings
from stores.archive.archive import Archive
from stores.archive.continuation import require_own_archive
from stores.archive.manifest import Manifest
from stores.archive.record_file import RecordFile
from stores.errors import ArchiveError
from stores.kafka.batch_headers import Run, lost, read_runs
from stores.kafka.log import Log
from stores.kafka.log_check import NO_TOPIC, LogBounds
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Logged

MOST_BYTES = 64 << 20
"""Bytes of keys, values and headers in a file: junk may be a thousand times as large as an event."""

Accepted = Callable[[int], Sequence[tuple[int, int]]]
"""Reads the runs of offsets of a partition, as (first, end), whose loss `reelstream adopt` has accepted.

It is asked only where the log lacks events, so that the archive needs no other store as a rule.
"""


def next_offset(archive: Archive, bounds: LogBounds, accepted: Accepted) -> int:
    """Offset at which the archive of a partition goes on.

    Raises:
        ArchiveError: if events were deleted from the log before they were archived.
    """
    covered = archive.bounds(bounds.partition)
    if covered is None:
        return bounds.start
    if covered[1] < bounds.start and lost((covered[1], bounds.start), _runs(accepted, bounds.partition)):
        raise ArchiveError(
            f"partition {bounds.partition}: the archive ends at offset {covered[1]}, but the log begins at offset "
            f"{bounds.start}; the events between them are lost to the archive; restore Kafka's data, or run "
            "`reelstream adopt`, which saves the state, sets the archive aside and lets a new one begin"
        )
    return covered[1]


def write_file(
    kafka: KafkaSettings,
    archive: Archive,
    log: Log,
    probe: LogProbe,
    partition: int,
    most: int,
    accepted: Accepted,
) -> RecordFile | None:
    """Write the next file of a partition; None where nothing waits. Only for who holds the lock of the archive.

    The log is checked after its records were read: a log that was replaced or cut off since then is never taken for
    the continuation of what is archived.

    Args:
        kafka: the log.
        archive: the archive.
        log: reads records.
        probe: asks for the bounds of the log.
        partition: its number.
        most: most offsets in the file.
        accepted: see there.

    Raises:
        ArchiveError: if the log is not that of the archive, or lacks events that were not archived.
        Unreachable: if Kafka does not answer.
    """
    bounds = probe.bounds()[partition]
    if bounds.log.topic == NO_TOPIC:
        return None
    first = next_offset(archive, bounds, accepted)
    end = min(bounds.end, first + most)
    if first >= end:
        return None
    records, end = _read(log, partition, max(first, bounds.start), end)
    _require_no_loss(kafka, archive, partition, first, end, records, accepted)
    now = require_own_archive(archive, probe)
    if now[partition].log != bounds.log or now[partition].end < end:
        raise ArchiveError(f"partition {partition}: the log was replaced while it was read; trying again")
    manifest = archive.manifest() or Manifest()
    if manifest.log is None:
        archive.write_manifest(manifest.of_log(bounds.log, len(now)))
    return archive.append(partition, first, end, records)


def _read(log: Log, partition: int, first: int, end: int) -> tuple[list[Logged], int]:
    """The records from `first` to `end`, or to an earlier offset where they are large; and that offset."""
    records: list[Logged] = []
    size = 0
    for batch in log.read_range(partition, first, end):
        for record in batch:
            records.append(record)
            size += _size(record)
            if size >= MOST_BYTES:
                return records, record.offset + 1
    return records, end


def _size(record: Logged) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _require_no_loss(
    kafka: KafkaSettings,
    archive: Archive,
    partition: int,
    first: int,
    end: int,
    records: Sequence[Logged],
    accepted: Accepted,
) -> None:
    """Require that the offsets without a record never held an event, or that their loss was accepted."""
    runs = [Run(record.offset, record.offset + 1, True) for record in records]
    hole = lost((first, end), runs)
    if hole is not None:
        runs += read_runs(kafka, partition, hole[0], end)
        hole = lost((first, end), sorted(runs, key=lambda run: run.first))
    if hole is not None:
        runs += _runs(accepted, partition)
        hole = lost((first, end), sorted(runs, key=lambda run: run.first))
    if hole is not None:
        raise ArchiveError(
            f"partition {partition}: the log lacks the events at offsets {hole[0]} to {hole[1] - 1}, which are not in "
            f"the archive {archive.folder} yet; restore Kafka's data, or run `reelstream adopt` to go on without them"
        )


def _runs(accepted: Accepted, partition: int) -> list[Run]:
    return sorted((Run(first, end, False) for first, end in accepted(partition)), key=lambda run: run.first)
