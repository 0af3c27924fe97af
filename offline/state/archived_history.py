"""The offline history in the archive: a copy of the data folder that never changes, and outlives it."""

from __future__ import annotations

import numpy as np

from features import IdKind, Numbering
from offline.data.readers import Ints, Ratings
from settings import Settings
from stores.archive.archive import Archive
from stores.archive.history import write_history
from stores.archive.history_files import Ids, OfflineHistory


def archive_history(settings: Settings, ratings: Ratings, data_hash: str) -> bool:
    """Write the events of a data set to the archive, unless it has them; False if it has.

    Args:
        settings: all settings.
        ratings: the events.
        data_hash: SHA-256 of the data set.

    Raises:
        ArchiveError: if the archive holds other events.
    """
    history = OfflineHistory(
        ratings.schema,
        _ids_of(ratings.users, ratings.user, ratings.schema.user_ids),
        _ids_of(ratings.items, ratings.item, ratings.schema.item_ids),
        ratings.code,
        ratings.ts,
        ratings.catalogue,
        data_hash,
        ratings.erased,
        {topic: dict(offsets) for topic, offsets in ratings.erased_to.items()},
        ratings.value,
    )
    return write_history(Archive(settings.archive_folder), history)


def _ids_of(numbering: Numbering, numbers: Ints, kind: IdKind) -> Ids:
    """The ids of numbers: INT64, or objects where they are texts."""
    if kind is IdKind.STRING:
        return np.array(numbering.ids, dtype=object)[numbers - 1]
    # An erased user has no events.
    known = np.array([0 if id_ is None else id_ for id_ in numbering.ids], dtype=np.int64)
    return known[numbers - 1]
