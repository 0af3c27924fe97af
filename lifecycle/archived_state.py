"""The state that follows from the offline history and the records of the archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from features import EventError
from offline.data.readers import Ratings
from offline.data.split import split
from offline.state import state_snapshot
from offline.state.snapshot import Beginning
from settings import Settings
from stores import decode_event
from stores.archive.archive import Archive


def fold_archive(
    settings: Settings, ratings: Ratings, base: str | None, ends: Sequence[int], progress: Callable[[float], None]
) -> Beginning:
    """Fold the archive into the state that its log follows.

    Args:
        settings: all settings.
        ratings: all ratings.
        base: the snapshot of that state; None where it is the offline history.
        ends: by partition, the offset up to before which records are folded.
        progress: called with the share that is done.

    Raises:
        ArchiveError: if the archive is damaged.
        DataError: if the snapshot is damaged.
    """
    places, partitions = split(ratings, settings.data).offline, len(ends)
    beginning = Beginning.offline(ratings, places, partitions)
    if base is not None:
        beginning = state_snapshot.read(settings, base, beginning.archive)
    archive, items = Archive(settings.archive_folder), ratings.catalogue.items
    dead = [Counter(reasons) for reasons in beginning.dead]
    for partition, begin in beginning.next_offsets.items():
        state = beginning.shards.states[partition]
        for file in archive.files(partition):
            for record in archive.read(file) if file.end > begin else ():
                if not begin <= record.offset < ends[partition]:
                    continue
                try:
                    event = decode_event(record, items, partitions, settings.stream.max_future_s)
                except EventError as error:
                    dead[partition][str(error)] += 1
                else:
                    state.take(event)
        progress((partition + 1) / partitions)
    return replace(beginning, next_offsets=dict(enumerate(ends)), dead=dead)
