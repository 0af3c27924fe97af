"""The offline history in the archive: a copy of the data folder that never changes, and outlives it."""

from __future__ import annotations

from offline.data.readers import Ratings
from settings import Settings
from stores.archive.archive import Archive
from stores.archive.history import OfflineHistory, write_history


def archive_history(settings: Settings, ratings: Ratings, data_hash: str) -> bool:
    """Write ratings to the archive, unless it has them; False if it has.

    Args:
        settings: all settings.
        ratings: the ratings.
        data_hash: SHA-256 of the data set.

    Raises:
        ArchiveError: if the archive holds other ratings.
    """
    columns = ratings.userid, ratings.itemid, ratings.rating, ratings.ts
    erased_to = {topic: dict(offsets) for topic, offsets in ratings.erased_to.items()}
    history = OfflineHistory(*columns, ratings.catalogue, data_hash, ratings.erased, erased_to)
    return write_history(Archive(settings.archive_folder), history)
