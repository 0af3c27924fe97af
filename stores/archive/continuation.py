"""The check that the archive and the log belong together: the log continues where the archive ends.

The archive remembers the cluster and the topic of its log, and its last records are compared with those that the log
has at their offsets. A log that was replaced, restored from an older copy or cut off fails the check; so does one whose
beginning was deleted before it was archived.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from stores.archive.archive import Archive
from stores.archive.manifest import Manifest
from stores.errors import ArchiveError, Trimmed
from stores.kafka.log_check import LogBounds
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark
from stores.kafka.topics import CHANGE_PARTITIONS

WAY_OUT = "restore Kafka's data; or run `reelstream adopt`, which sets these records aside and lets a new archive begin"


TRIES = 5
"""Times that the log may be trimmed while its records are compared with the archive."""


def require_own_archive(archive: Archive, probe: LogProbe) -> dict[int, LogBounds]:
    """Require that the archive belongs to the log.

    Returns:
        The bounds of the log, read after those of the archive.

    Raises:
        ArchiveError: if it does not, or is damaged.
        Unreachable: if Kafka does not answer.
    """
    why, bounds = compare(archive, probe)
    if why is not None:
        raise ArchiveError(why)
    return bounds


def compare(archive: Archive, probe: LogProbe) -> tuple[str | None, dict[int, LogBounds]]:
    """Return the reason why the archive does not belong to the log, and the bounds of the log.

    The reason is None if it does, or if it holds no records.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """
    for _ in range(TRIES):
        with suppress(Trimmed):
            return _compare(archive, probe)
    return _compare(archive, probe)


def _compare(archive: Archive, probe: LogProbe) -> tuple[str | None, dict[int, LogBounds]]:
    manifest = archive.manifest()
    if manifest is None or manifest.log is None:
        return None, probe.bounds()
    # Before the log, so that what is archived meanwhile is not taken for an end that the log has lost.
    numbers = range(manifest.partitions or 0)
    covered = {number: each for number in numbers if (each := archive.bounds(number)) is not None}
    tails = {number: tail for number in covered if (tail := archive.tail(number)) is not None}
    bounds = probe.bounds()
    return _mismatch(archive, manifest, covered, bounds) or _other_records(tails, probe, bounds), bounds


def _mismatch(
    archive: Archive, manifest: Manifest, covered: Mapping[int, tuple[int, int]], bounds: Mapping[int, LogBounds]
) -> str | None:
    log = next(iter(bounds.values())).log
    if manifest.log != log:
        return f"the archive {archive.folder} holds another log ({manifest.log}) than Kafka ({log}); {WAY_OUT}"
    if manifest.partitions != len(bounds):
        return (
            f"the archive {archive.folder} has {manifest.partitions} partitions, the log has {len(bounds)}; "
            f"{CHANGE_PARTITIONS}"
        )
    for partition, (_, end) in covered.items():
        if bounds[partition].end < end:
            return (
                f"partition {partition}: the archive ends at offset {end}, the log at offset {bounds[partition].end}; "
                f"the log has lost its end; {WAY_OUT}"
            )
    return None


def _other_records(tails: Mapping[int, Mark], probe: LogProbe, bounds: Mapping[int, LogBounds]) -> str | None:
    inside = {number: tail.offset for number, tail in tails.items() if bounds[number].start <= tail.offset}
    found = probe.fingerprints(inside)
    for partition, offset in inside.items():
        if found.get(partition) != tails[partition].fingerprint:
            return (
                f"partition {partition}: the record at offset {offset} in the log is not the one in the archive; "
                f"{WAY_OUT}"
            )
    return None
