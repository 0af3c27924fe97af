"""The records of one user in the archive and the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from settings import Settings
from stores.archive.archive import Archive
from stores.errors import Unreachable
from stores.kafka.log import Log
from stores.kafka.record import Logged, partition_of


def records_of(settings: Settings, userid: int) -> Iterator[Logged]:
    """The records with a user's key, each once, in the order of the log; the whole partition is read.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """
    partition, key = partition_of(userid, settings.kafka.partitions), str(userid).encode()
    archive, archived = Archive(settings.archive_folder), 0
    for file in archive.files(partition):
        archived = file.end
        yield from (record for record in archive.read(file) if record.key == key)
    with closing(Log(settings.kafka)) as log:
        begins, ends = log.begins(), log.ends()
        if partition not in ends:
            raise Unreachable(f"there is no topic {settings.kafka.topic} yet; run `reelstream up`")
        for records in log.read_range(partition, max(begins[partition], archived), ends[partition]):
            yield from (record for record in records if record.key == key)
