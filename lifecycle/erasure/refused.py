"""Events that are dead as too many others waited for their items, of which some are of erased users.

Without those, the fold would let them wait. So their records in the archive say that they are dead, before the others
go from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from features.waiting import TOO_MANY
from lifecycle.erasure.due import Due
from offline.data.readers import Ratings
from offline.state.beginning import beginning_of
from settings import Settings
from stores import Logged, Profiles
from stores.archive.archive import Archive
from stores.kafka.record import dead_as, reason_if_gone


def mark_refused(
    settings: Settings, archive: Archive, ratings: Ratings, profiles: Profiles, dues: Mapping[int, Due]
) -> None:
    """Mark such events among the records that are to be rewritten, where the live state has counted any.

    Args:
        settings: all settings.
        archive: the archive, which alone holds these records by now.
        ratings: the offline history.
        profiles: the live state.
        dues: by partition, the erasures that are to be completed.

    Raises:
        ArchiveError: if the archive is damaged.
        DataError: if a saved state is damaged.
        Unreachable: if a store does not answer.
    """
    if TOO_MANY not in profiles.dead():
        return
    offsets: dict[int, set[int]] = {partition: set() for partition in dues}

    def note(record: Logged, reason: str) -> None:
        if reason == TOO_MANY and record.partition in dues and record.offset < dues[record.partition].end:
            offsets[record.partition].add(record.offset)

    beginning_of(settings, ratings, lambda share: None, note)
    with archive.locked():
        for partition, refused in offsets.items():
            mark(archive, partition, refused)


def mark(archive: Archive, partition: int, offsets: Collection[int]) -> None:
    """Have records of a partition say that they are dead for this reason; only for who holds the lock.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    for file in archive.files(partition) if offsets else ():
        records = archive.read(file)
        if any(record.offset in offsets and reason_if_gone(record) is None for record in records):
            archive.replace(
                file,
                [
                    dead_as(record, TOO_MANY) if record.offset in offsets and reason_if_gone(record) is None else record
                    for record in records
                ],
            )
