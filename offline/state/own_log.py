"""The requirement that the log is the one that the state was folded from, for commands that rely on both."""

from __future__ import annotations

from collections.abc import Mapping

from offline.state import state_snapshot
from settings import Settings
from stores import LogError, Profiles
from stores.kafka.log_check import WAY_OUT, Checked, LogBounds
from stores.kafka.log_probe import LogProbe
from stores.kafka.topics import CHANGE_PARTITIONS
from stores.redis.shard_log import ShardLogs


def require_own_log(settings: Settings, profiles: Profiles, base: str | None, *, fold_again: bool = False) -> None:
    """Require that the log is the one that the state was folded from, and that all of it is there or in the archive.

    Args:
        base: the snapshot of the state that the log follows; None where it follows the offline history.
        fold_again: the state is going to be folded again, so that it may lack events that the archive alone still has.

    Raises:
        ArchiveError: if the log was trimmed, and the archive is damaged or that of another log.
        LogError: if it is not; the message is that of the first partition.
        Unreachable: if a store does not answer.
    """
    positions = ShardLogs(profiles).positions()
    begins = state_snapshot.next_offsets(settings, base, profiles.partitions)
    probe = LogProbe(settings.kafka, settings.log_heads)
    try:
        checks = probe.check(positions)
        first = first_offsets(settings, probe, {partition: checked.bounds for partition, checked in checks.items()})
    finally:
        probe.close()
    if (actual := probe.partitions) is not None and actual != profiles.partitions and not fold_again:
        raise LogError(
            f"the log has {actual} partitions, but the state is kept by {profiles.partitions}; {CHANGE_PARTITIONS}"
        )
    for partition, checked in checks.items():
        why = checked.why or checked.position.stopped
        if why and not (fold_again and _only_trimmed(checked)):
            raise LogError(why)
        if first[partition] > begins[partition]:
            raise LogError(
                f"partition {partition}: the log begins at offset {checked.bounds.start} and the archive does not hold "
                f"what comes before, but the state is folded from offset {begins[partition]}; restore the archive "
                f"{settings.archive_folder} from a backup; {WAY_OUT}"
            )


def _only_trimmed(checked: Checked) -> bool:
    """Return True if all that is wrong is that the log begins after the events that the state needs next."""
    position, bounds = checked.position, checked.bounds
    own = position.log in (None, bounds.log) and checked.lost_head is None
    return own and position.applied is not None and position.applied + 1 < bounds.start


def first_offsets(settings: Settings, probe: LogProbe, bounds: Mapping[int, LogBounds]) -> dict[int, int]:
    """Return the offset of each partition from which on archive and log together hold every event.

    The archive is looked at only where the log was trimmed.

    Raises:
        ArchiveError: if it is damaged, or that of another log.
        Unreachable: if Kafka does not answer.
    """
    if not any(each.start for each in bounds.values()):
        return dict.fromkeys(bounds, 0)
    # Imported late, for commands that do without PyArrow.
    from stores.archive.archive import Archive
    from stores.archive.continuation import require_own_archive
    from stores.archive.whole_log import first_offset

    archive = Archive(settings.archive_folder)
    require_own_archive(archive, probe)
    return {partition: first_offset(archive, each) for partition, each in bounds.items()}
