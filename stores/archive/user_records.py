"""The records of one user in the archive and the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from features.ids import Id, id_text
from settings import Settings
from stores.archive.archive import Archive
from stores.archive.manifest import Manifest
from stores.errors import Unreachable
from stores.kafka.log import Log
from stores.kafka.record import Logged
from stores.kafka.record_owner import is_keyed_by


def records_of(settings: Settings, userid: Id) -> Iterator[Logged]:
    """The records of a user, each once, in the order of the log; whole partitions are read.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """
    archive, key = Archive(settings.archive_folder), id_text(userid).encode()
    manifest = archive.manifest() or Manifest()
    with closing(Log(settings.kafka)) as log:
        begins, ends = log.begins(), log.ends()
        if not ends:
            raise Unreachable(f"there is no topic {settings.kafka.topic} yet; run `reelstream up`")
        for partition in manifest.log_epochs(len(ends)).homes(userid):
            archived = 0
            for file in archive.files(partition):
                archived = file.end
                yield from (record for record in archive.read(file) if is_keyed_by(record, key))
            for records in log.read_range(partition, max(begins[partition], archived), ends[partition]):
                yield from (record for record in records if is_keyed_by(record, key))
