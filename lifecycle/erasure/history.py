"""The offline history without erased users, and what of the state follows from it alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from offline.data import readers
from offline.data.readers import RATINGS, USERS, Ratings
from offline.data.split import split
from offline.data.term_prior import term_prior
from offline.state import state_snapshot
from offline.state.snapshot import Beginning
from settings import Settings
from stores import StateStores
from stores.archive.archive import Archive
from stores.archive.history import without_users
from stores.elasticsearch import ItemIndex


def rewrite(archive: Archive, userids: Collection[int], erased_to: Mapping[int, int]) -> int:
    """Leave users out of the history in the archive; how many it had. `erased_to` as in `without_users`.

    Raises:
        ArchiveError: if it is damaged.
    """
    return without_users(archive, userids, erased_to)


def rewrite_data_folder(settings: Settings, userids: Collection[int]) -> Path | None:
    """Leave users out of the ratings that `reelstream data` has put into the state folder.

    A folder elsewhere is its owner's, and stays as it is; it is not read any more.

    Returns:
        The folder, where it is elsewhere and still has some of the users.
    """
    folder = settings.data_folder
    pattern = re.compile(rb"(?m)^(?:%s)::.*\n?" % b"|".join(str(userid).encode() for userid in sorted(userids)))
    left = None
    for path in (folder / RATINGS, folder / USERS):
        content = path.read_bytes() if path.is_file() else b""
        if not userids or pattern.search(content) is None:
            continue
        if settings.state in folder.parents:
            _write(path, pattern.sub(b"", content))
        else:
            left = folder
    return left


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".new-{path.name}")
    temporary.write_bytes(content)
    temporary.replace(path)


def rewrite_state(settings: Settings, ratings: Ratings, generations: Collection[str]) -> None:
    """Write what generations of the state hold of the history alone again: counters of other shards, and figures.

    Args:
        settings: all settings.
        ratings: the ratings that are left.
        generations: their names.

    Raises:
        Unreachable: if Redis does not answer.
    """
    places = split(ratings, settings.data).offline
    beginning = Beginning.offline(ratings, places, settings.kafka.partitions)
    profiled = sum(len(state.profiles) for state in beginning.archive.states)
    for name in generations:
        published = StateStores.of(settings, name).published
        snapshot = published.snapshot()
        if snapshot is None:
            continue
        for shard in range(len(beginning.archive.states)):
            published.set_others(shard, beginning.archive.others(shard))
        published.set_snapshot(snapshot.model_copy(update={"events": len(places), "users": profiled}))


def rewrite_weights(settings: Settings, ratings: Ratings) -> int:
    """Weigh the items in the indices of all runs by the likes of the history that is left; how many had other weights.

    Raises:
        StoreError: if Elasticsearch does not answer.
    """
    index = ItemIndex(settings.elasticsearch)
    try:
        prior = term_prior(ratings, split(ratings, settings.data).offline)
        return sum(index.weigh(name, prior) for name in index.indices())
    finally:
        index.close()


def rewrite_snapshots(settings: Settings, ratings: Ratings, userids: Collection[int]) -> int:
    """Leave users out of the states that `adopt` has saved; how many such states had one.

    Raises:
        DataError: if one is damaged.
    """
    folder = settings.state / "snapshots"
    names = sorted(path.parent.name for path in folder.glob(f"*/{state_snapshot.MANIFEST}"))
    return sum(state_snapshot.rewrite_without(settings, name, ratings.catalogue, userids) for name in names)


def load(settings: Settings) -> Ratings:
    """The ratings as they are now; raises DataError or ArchiveError."""
    return readers.load(settings)
