"""The events of a data set, and its users and items, as the models take them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

import datasets
from features import Catalogue, Event, Schema
from features.dataset import DataSet
from features.dataset.codes import Codes
from features.ids import Id, Numbering
from offline.data.discoveries import Discoveries
from offline.errors import DataError
from scoring.run_ids import RunIds
from settings import Settings

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MICROSECONDS = 1_000_000
"""In a second."""

RATINGS, USERS, MOVIES = "ratings.dat", "users.dat", "movies.dat"
FILES = (RATINGS, USERS, MOVIES)
"""The files of MovieLens-1M, which can also be downloaded and generated."""

MANIFEST = "manifest.json"
"""Of the archive; its own module is imported late."""


@dataclass(frozen=True)
class Ratings:
    """All events, in the order of the files, and what is known of their users and items.

    An event that the files have twice (one user, item, code and second) is there once.

    Attributes:
        folder: where the files are that they were read from.
        schema: of the data set.
        catalogue: items and users by id.
        users, items: numbers of the users and items of the catalogue.
        user, item: numbers of each event's user and item, INT64 [events].
        code: of each event, INT64 [events].
        ts: unix seconds, INT64 [events].
        value: of each event, where its code does not tell it; else NaN, FP64 [events].
        recorded_hash: SHA-256 of the data set, where they were read from the archive; else empty.
        erased: users of the data set whom they lack, as they were erased.
        erased_to: by id of the log's topic and by partition, the offset of the last erasure whose user they lack.
        files: the names of the files.
    """

    folder: Path
    schema: Schema
    catalogue: Catalogue
    users: Numbering
    items: Numbering
    user: Ints
    item: Ints
    code: Ints
    ts: Ints
    value: Floats
    recorded_hash: str = ""
    erased: int = 0
    erased_to: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    files: tuple[str, ...] = FILES

    @classmethod
    def of(
        cls,
        folder: Path,
        schema: Schema,
        catalogue: Catalogue,
        userid: Iterable[Id],
        itemid: Iterable[Id],
        code: Ints,
        ts: Ints,
        value: Floats | None = None,
        **rest: Any,
    ) -> Ratings:
        """The events of users and items of a catalogue, by their ids; the other arguments are as above."""
        ids = RunIds.of(catalogue.users, catalogue.items)
        user, item = ids.users.numbers(userid), ids.items.numbers(itemid)
        value = np.full(len(code), np.nan) if value is None else value
        return cls(folder, schema, catalogue, ids.users, ids.items, user, item, code, ts, value, **rest)

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def ids(self) -> RunIds:
        """The numbers of users and items, as a run takes them."""
        return RunIds(self.users, self.items)

    @cached_property
    def positive(self) -> Bools:
        """True for a positive event, [events]."""
        return self.schema.codes.positive_array[self.code]

    def userid(self, place: int) -> Id:
        """The id of an event's user."""
        return self.users.id(int(self.user[place]))

    def itemid(self, place: int) -> Id:
        """The id of an event's item."""
        return self.items.id(int(self.item[place]))

    def event(self, place: int) -> Event:
        """An event."""
        return next(self.events(np.array([place])))

    def events(self, places: Ints) -> Iterator[Event]:
        """The events at `places`."""
        users, items = cast("Sequence[Id]", self.users.ids), cast("Sequence[Id]", self.items.ids)
        columns = (self.user[places] - 1, self.item[places] - 1, self.code[places], self.ts[places])
        of_events = self.value[places]
        values: Iterable[float | None] = repeat(None, len(places))
        if not (missing := np.isnan(of_events)).all():
            values = (None if none else value for none, value in zip(missing, of_events.tolist(), strict=True))
        for user, item, code, ts, value in zip(*(column.tolist() for column in columns), values, strict=True):
            yield Event(users[user], items[item], code, ts, value)

    @cached_property
    def discoveries(self) -> Discoveries:
        """Finds discoveries."""
        pair = np.unique(self.user * self.items.size + self.item, return_inverse=True)[1]
        rank = np.empty(len(self), dtype=np.int64)
        rank[np.lexsort((self.ts, self.user))] = np.arange(len(self))
        return Discoveries(pair, rank, self.schema.codes.target_array[self.code])

    def targets(self, places: Ints) -> Bools:
        """Tell for each event whether it is a discovery, as far as the events at `places` tell; [places].

        `places` are those of a part of a split, or others that hold, of each user, all events of a while.
        """
        return self.discoveries.among(places, self.discoveries.rank[places])

    def without(self, userids: Collection[Id]) -> Ratings:
        """The events of all users but some; the others keep their numbers."""
        gone = {*userids}
        left = ~np.isin(self.user, self.users.numbers(gone))
        users = {userid: user for userid, user in self.catalogue.users.items() if userid not in gone}
        columns = {name: getattr(self, name)[left] for name in ("user", "item", "code", "ts", "value")}
        return replace(self, catalogue=replace(self.catalogue, users=users), users=self.users.without(gone), **columns)


def load(settings: Settings) -> Ratings:
    """Read the ratings from `settings.data_folder`; from the archive where that folder has none of the files.

    Once users were erased, the history in the archive lacks them, and is read in place of the data set that it is of.

    Raises:
        ArchiveError: the ratings in the archive are damaged.
        DataError: a file is missing, or a line is malformed (the message names the file and the line).
        DataSetError: the description cannot be read.
    """
    dataset = description(settings)
    if not has_files(settings) and (archived := _archived(settings)) is not None:
        return archived
    if (archived := _without_erased(settings, dataset)) is None:
        return _read(settings, dataset)
    if archived.schema.dataset == dataset:
        return archived
    # The archive has these events as another description reads them.
    whole = _read(settings, dataset)
    known = whole.without(whole.catalogue.users.keys() - archived.catalogue.users.keys())
    return replace(known, recorded_hash=archived.recorded_hash, erased=archived.erased, erased_to=archived.erased_to)


def _read(settings: Settings, dataset: DataSet) -> Ratings:
    """Read the files of the data folder."""
    # Imported late: PyArrow takes a moment to load.
    from offline.data import from_tables, learning, tables
    from offline.data.split import split_events

    check_files(settings)
    read = tables.read(dataset, settings.data_folder)
    codes, events = Codes(dataset.feedback), read.events
    users, number_of_user = from_tables.numbered(read.users)
    items, number_of_item = from_tables.numbered(read.items)
    code, value = from_tables.codes_of(dataset, codes, read)
    columns = (number_of_user[events.user], number_of_item[events.item], code, events.time // MICROSECONDS)
    once = _first_of_equals(*columns)
    user, item, code, ts = (column[once] for column in columns)

    def positive_share() -> float:
        train = split_events(user, ts, dataset.split, settings.data).train
        return float(codes.positive_array[code[train] if len(train) else code].mean())

    schema = learning.learn(dataset, read, positive_share)
    catalogue = from_tables.catalogue_of(schema, read)
    return Ratings(
        settings.data_folder, schema, catalogue, users, items, user, item, code, ts, value[once], files=dataset.paths
    )


def _first_of_equals(*columns: Ints) -> Ints:
    """Places of the rows that are not equal to an earlier one, ascending; INT64."""
    order = np.lexsort(columns)
    again = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns:
        again &= np.diff(column[order]) == 0
    return np.sort(order[np.append(True, ~again)]) if len(order) else order


def description(settings: Settings) -> DataSet:
    """The description of the data set; raises DataSetError."""
    return datasets.read(settings.dataset)


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
    return Ratings.of(
        archive.folder,
        history.schema,
        history.catalogue,
        history.userid.tolist(),
        history.itemid.tolist(),
        history.code,
        history.ts,
        history.value,
        recorded_hash=history.data_hash,
        erased=history.erased,
        erased_to=history.erased_to,
    )


def is_own_folder(settings: Settings, dataset: DataSet) -> bool:
    """Return True if the data folder is one that `reelstream data` writes to, and which is no one else's."""
    folder = settings.data_folder
    return folder == settings.own_data_folder or (dataset.paths == FILES and settings.state in folder.parents)


def _without_erased(settings: Settings, dataset: DataSet) -> Ratings | None:
    """The ratings in the archive, where they are those of the data folder without erased users; else None."""
    if not (settings.archive_folder / MANIFEST).is_file():
        return None
    from stores.archive.archive import Archive

    manifest = Archive(settings.archive_folder).manifest()
    if manifest is None or manifest.history is None or not manifest.history.erased:
        return None
    folder = settings.data_folder
    # A folder of our own lacks the erased users too; any other one must hold the same data set.
    if not is_own_folder(settings, dataset) and not (
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
    return np.bincount(ratings.item[places] - 1, minlength=len(ratings.items))
