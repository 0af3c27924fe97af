"""The offline history without erased users, and what of the state follows from it alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from features import Catalogue, Id, id_text
from lifecycle.data_files import user_files
from lifecycle.erasure.due import Due
from offline.data import readers
from offline.data.readers import Ratings
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
    """Leave the users whom the history in the archive lacks out of the files that `reelstream data` has written.

    A folder elsewhere, or with another data set, is its owner's and stays as it is; it is not read any more.

    Returns:
        The folder, where it stays and still has some of the users.

    Raises:
        ArchiveError: if the history is damaged.
    """
    folder, found, dataset = settings.data_folder, archive.manifest(), readers.description(settings)
    if found is None or found.history is None or not found.history.erased:
        return None
    if not readers.is_own_folder(settings, dataset):
        there = all((folder / name).is_file() for name in dataset.paths)
        return folder if there and readers.files_hash(folder, dataset.paths) == found.history.data_hash else None
    history = read_history(archive)
    if history is None or history.schema.dataset != dataset:
        return None
    known = {id_text(userid) for userid in history.catalogue.users}
    # The users last, from whom one that was cut off is found again.
    for file in user_files(dataset, folder):
        if (content := file.without(lambda userid: userid not in known)) is not None:
            _write(file.path, content)
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
    """Weigh the items of all runs by the likes of the history that is left; how many documents had other weights.

    Raises:
        StoreError: if Elasticsearch or Redis does not answer.
    """
    index = ItemIndex(settings.elasticsearch)
    try:
        prior = term_prior(ratings, split(ratings, settings.data).offline)
        # First: a worker that writes the document of a changed item again takes its weight from there.
        StateStores.live(settings).published.weigh_items(prior)
        return sum(index.weigh(name, prior) for name in index.indices())
    finally:
        index.close()


def rewrite_snapshots(
    settings: Settings,
    catalogue: Catalogue,
    topic: str,
    dues: Mapping[int, Due],
    given_up: Collection[Id],
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
        userids: set[Id] = set() if name == base else {*given_up}
        for partition, each in dues.items():
            userids |= {userid for userid, at in each.offsets.items() if at >= nexts.get(partition, 0)}
        written += state_snapshot.rewrite_without(settings, name, catalogue, userids)
    return written
