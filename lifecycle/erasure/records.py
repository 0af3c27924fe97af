"""The files of records in the archive, rewritten without erased users."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from features import Id, id_text
from lifecycle.erasure.due import Due, Rules
from lifecycle.erasure.given_up import formers, partitions_of
from stores.archive.archive import Archive
from stores.kafka.record import gone
from stores.kafka.record_owner import is_of_item


def rewrite(archive: Archive, partition: int, due: Due, rules: Rules) -> int:
    """Replace the records of erased users in the archive of a partition; how many.

    Files are rewritten in the order of the offsets: an erasure goes after the events that it erases, so that a sweep
    which was cut off is completed by the next.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    replaced = 0
    for file in archive.files(partition):
        records = archive.read(file)
        erased = [record for record in records if due.is_of_erased(record)]
        if erased:
            reasons = {record.offset: rules.reason(record) for record in erased}
            archive.replace(
                file,
                [gone(record, reasons[record.offset]) if record.offset in reasons else record for record in records],
            )
            replaced += len(erased)
    return replaced


def rewrite_all(archive: Archive, dues: Mapping[int, Due], rules: Rules) -> int:
    """Replace the records of erased users in all partitions, one epoch of the log after the other; how many.

    So an erasure goes after what its user has in partitions of earlier epochs, too.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    replaced = 0
    for epoch in rules.epochs.ended:
        for partition, each in dues.items():
            if partition < len(epoch.ends):
                replaced += rewrite(archive, partition, each.before(epoch.ends[partition]), rules)
    return replaced + sum(rewrite(archive, partition, each, rules) for partition, each in dues.items())


def rewrite_former(archive: Archive, userids: Collection[Id]) -> int:
    """Replace the records of users in the archives of logs that were given up, whenever they came; how many.

    Raises:
        ArchiveError: if such an archive is damaged.
    """
    keys, replaced = {id_text(userid).encode() for userid in userids}, 0
    for former in formers(archive):
        for partition in partitions_of(former):
            for file in former.files(partition):
                records = former.read(file)
                erased = {record.offset for record in records if record.key in keys and not is_of_item(record.value)}
                if erased:
                    former.replace(file, [gone(record) if record.offset in erased else record for record in records])
                    replaced += len(erased)
    return replaced
