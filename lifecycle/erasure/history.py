"""The offline history without erased users, and what of the state follows from it alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from features import Catalogue
from lifecycle.erasure.due import Due
from offline.data import readers
from offline.data.readers import RATINGS, USERS, Ratings
from offline.data.split import split
from offline.data.term_prior import term_prior
from offline.state import state_snapshot
from offline.state.snapshot import Beginning
from settings import Settings
from stores import StateStores
from stores.archive.archive import Archive
from stores.archive.history import read_history
from stores.elasticsearch import ItemIndex


def rewrite_data_folder(settings: Settings, archive: Archive) -> Path | None:
    """Leave the users whom the history in the archive lacks out of the ratings that `reelstream data` has written.

    A folder elsewhere, or with another data set, is its owner's and stays as it is; it is not read any more.

    Returns:
        The folder, where it stays and still has some of the users.

    Raises:
        ArchiveError: if the history is damaged.
    """
    folder, found, names = settings.data_folder, archive.manifest(), readers.description(settings).paths
    if found is None or found.history is None or not found.history.erased:
        return None
    if settings.state not in folder.parents or names != readers.FILES:
        there = all((folder / name).is_file() for name in names)
        return folder if there and readers.files_hash(folder, names) == found.history.data_hash else None
    history = read_history(archive)
    if history is None or not (folder / USERS).is_file():
        return None
    of_folder = {int(line.partition(b"::")[0]) for line in (folder / USERS).read_bytes().splitlines() if line}
    gone = sorted(of_folder - history.catalogue.users.keys())
    if gone:
        pattern = re.compile(rb"(?m)^(?:%s)::.*\n?" % b"|".join(str(userid).encode() for userid in gone))
        # The users last, from whom one that was cut off is found again.
        for path in (folder / RATINGS, folder / USERS):
            _write(path, pattern.sub(b"", path.read_bytes()))
    return None


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
    beginning = Beginning.offline(ratings, places, StateStores.live(settings).profiles.partitions)
    users = sum(len(each.profiles) for each in beginning.archive.states)
    for name in generations:
        published = StateStores.of(settings, name).published
        snapshot = published.snapshot()
        if snapshot is None:
            continue
        for shard in range(len(beginning.archive.states)):
            published.set_others(shard, beginning.archive.others(shard))
        published.set_snapshot(snapshot.model_copy(update={"events": len(places), "users": users}))


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


def rewrite_snapshots(
    settings: Settings,
    catalogue: Catalogue,
    topic: str,
    dues: Mapping[int, Due],
    given_up: Collection[int],
    base: str | None,
) -> int:
    """Leave users out of the states that `adopt` has saved before they were erased; how many such states had one.

    Args:
        settings: all settings.
        catalogue: items, and the users who are left.
        topic: id of the log's topic.
        dues: by partition of the log, the erasures.
        given_up: users whose erasures the state that the live one began with has folded.
        base: name of that state.

    Raises:
        DataError: if one is damaged.
    """
    folder, written = settings.state / "snapshots", 0
    for name in sorted(path.parent.name for path in folder.glob(f"*/{state_snapshot.MANIFEST}")):
        saved = state_snapshot.manifest(settings, name)
        # What a state holds of a user who was erased before it was saved came afterwards.
        nexts = {shard: file.next_offset for shard, file in enumerate(saved.shards)} if saved.topic == topic else {}
        userids = set() if name == base else {*given_up}
        for partition, each in dues.items():
            userids |= {userid for userid, at in each.offsets.items() if at >= nexts.get(partition, 0)}
        written += state_snapshot.rewrite_without(settings, name, catalogue, userids)
    return written
