"""The ratings, and the users and items of their data set, as the models take them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import datasets
from features import Catalogue
from features.dataset import DataSet
from offline.errors import DataError
from settings import Settings

Ints = npt.NDArray[np.int64]

RATINGS, USERS, MOVIES = "ratings.dat", "users.dat", "movies.dat"
FILES = (RATINGS, USERS, MOVIES)
"""The files of MovieLens-1M, which can also be downloaded and generated."""

MANIFEST = "manifest.json"
"""Of the archive; its own module is imported late."""


@dataclass(frozen=True)
class Ratings:
    """All rating events, in the order of the file, and what is known of their users and items.

    Attributes:
        folder: where the files are that they were read from.
        userid, itemid, rating, ts: INT64 [events]; `ts` in unix seconds.
        catalogue: items and users by id.
        recorded_hash: SHA-256 of the data set, where they were read from the archive; else empty.
        erased: users of the data set whom they lack, as they were erased.
        erased_to: by id of the log's topic and by partition, the offset of the last erasure whose user they lack.
        files: the names of the files.
    """

    folder: Path
    userid: Ints
    itemid: Ints
    rating: Ints
    ts: Ints
    catalogue: Catalogue
    recorded_hash: str = ""
    erased: int = 0
    erased_to: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    files: tuple[str, ...] = FILES

    def __len__(self) -> int:
        return len(self.userid)

    def without(self, userids: Collection[int]) -> Ratings:
        """The ratings of all users but some."""
        left = ~np.isin(self.userid, sorted(userids))
        gone = {*userids}
        users = {userid: user for userid, user in self.catalogue.users.items() if userid not in gone}
        return replace(
            self,
            userid=self.userid[left],
            itemid=self.itemid[left],
            rating=self.rating[left],
            ts=self.ts[left],
            catalogue=Catalogue(self.catalogue.items, users),
        )


def load(settings: Settings) -> Ratings:
    """Read the ratings from `settings.data_folder`; from the archive where that folder has none of the files.

    Once users were erased, the history in the archive lacks them, and is read in place of the data set that it is of.

    Raises:
        ArchiveError: the ratings in the archive are damaged.
        DataError: a file is missing, a line is malformed (the message names the file and the line), or the description
            of the data set says what the models do not support yet.
        DataSetError: the description cannot be read.
    """
    # Imported late: PyArrow takes a moment to load.
    from offline.data import engine, tables

    folder, dataset = settings.data_folder, description(settings)
    engine.require_supported(dataset, datasets.path_of(settings.data.dataset).name, settings.data)
    if not has_files(settings) and (archived := _archived(settings)) is not None:
        return archived
    if (archived := _without_erased(settings, dataset)) is not None:
        return archived
    check_files(settings)
    read = tables.read(dataset, folder)
    return Ratings(folder, *engine.columns_of(read), engine.catalogue_of(read), files=dataset.paths)


def description(settings: Settings) -> DataSet:
    """The description of the data set; raises DataSetError."""
    return datasets.read(settings.data.dataset)


def has_files(settings: Settings) -> bool:
    """Return True if the data folder has any of the files of the data set."""
    return any((settings.data_folder / name).is_file() for name in description(settings).paths)


def _archived(settings: Settings) -> Ratings | None:
    """The ratings in the archive; None where it has none."""
    if not settings.archive_folder.is_dir():
        return None
    # Imported late: PyArrow takes a moment to load, and is needed here only where the data folder is gone.
    from stores.archive.archive import Archive
    from stores.archive.history import read_history

    archive = Archive(settings.archive_folder)
    history = read_history(archive)
    if history is None:
        return None
    columns = history.userid, history.itemid, history.rating, history.ts
    lacking = history.erased, history.erased_to
    return Ratings(archive.folder, *columns, history.catalogue, history.data_hash, *lacking)


def _without_erased(settings: Settings, dataset: DataSet) -> Ratings | None:
    """The ratings in the archive, where they are those of the data folder without erased users; else None."""
    if not (settings.archive_folder / MANIFEST).is_file():
        return None
    from stores.archive.archive import Archive

    manifest = Archive(settings.archive_folder).manifest()
    if manifest is None or manifest.history is None or not manifest.history.erased:
        return None
    folder = settings.data_folder
    # What `reelstream data` has written lacks the erased users too; any other folder must hold the same data set.
    if (settings.state not in folder.parents or dataset.paths != FILES) and not (
        all((folder / name).is_file() for name in dataset.paths)
        and files_hash(folder, dataset.paths) == manifest.history.data_hash
    ):
        return None
    return _archived(settings)


def check_files(settings: Settings) -> None:
    """Check that the data folder has the files of the data set.

    Raises:
        DataError: naming the missing files, or the folder where there is none.
    """
    folder, dataset = settings.data_folder, description(settings)
    missing = [name for name in dataset.paths if not (folder / name).is_file()]
    if not missing:
        return
    lack = f"has no {', '.join(missing)}" if folder.is_dir() else "does not exist"
    if dataset.paths == FILES:
        raise DataError(
            f"{folder} {lack}; set ML1M_DIR to a folder with the MovieLens-1M files, "
            "or run `reelstream data get` (download) or `reelstream data make` (generate)"
        )
    raise DataError(f"{folder} {lack}; set REELSTREAM_DATA__FOLDER to the folder with the files of {dataset.name}")


def data_hash(ratings: Ratings) -> str:
    """SHA-256 over the files of the data set, as hexadecimal digits."""
    return ratings.recorded_hash or files_hash(ratings.folder, ratings.files)


def files_hash(folder: Path, names: Iterable[str] = FILES) -> str:
    """SHA-256 over files in a folder one after the other, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def events_of_items(ratings: Ratings, places: Ints) -> Ints:
    """Count the events at `places` by item, INT64 [items], by ascending itemid."""
    itemids = np.array(sorted(ratings.catalogue.items), dtype=np.int64)
    return np.bincount(np.searchsorted(itemids, ratings.itemid[places]), minlength=len(itemids))
