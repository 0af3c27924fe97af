"""The ratings, users and movies in the layout of the public ml-1m.zip (`::` separated, latin-1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features import GENRES, Catalogue, Item, User
from features.catalogue import AGES, OCCUPATIONS
from offline.errors import DataError
from settings import Settings

Ints = npt.NDArray[np.int64]

RATINGS, USERS, MOVIES = "ratings.dat", "users.dat", "movies.dat"
FILES = (RATINGS, USERS, MOVIES)
MANIFEST = "manifest.json"
"""Of the archive; its own module is imported late."""

# Possessive, so that a file of any size is checked without a backtracking stack.
RATING_LINES = re.compile(rb"(?:[1-9]\d{0,8}+::[1-9]\d{0,8}+::[1-5]::\d{1,10}+(?:\r?\n|\Z))*+")
USER_LINE = re.compile(r"([1-9]\d{0,8})::([FM])::(\d+)::(\d+)::[^:]*")
MOVIE_LINE = re.compile(r"([1-9]\d{0,8})::(.+?)\s*\((\d{4})\)::(.+)")

RATING_RULE = "userid::itemid::rating (1-5)::unix seconds"
USER_RULE = f"userid::F or M::age ({', '.join(map(str, AGES))})::occupation (0-{OCCUPATIONS - 1})::zip code"
MOVIE_RULE = "itemid::title (year)::genres of MovieLens-1M joined by |"


@dataclass(frozen=True)
class Ratings:
    """All rating events, in the order of the file, and what is known of their users and items.

    Attributes:
        folder: where the files are that they were read from.
        userid, itemid, rating, ts: INT64 [events]; `ts` in unix seconds.
        catalogue: items and users by id.
        recorded_hash: SHA-256 of the data set, where they were read from the archive; else empty.
        erased_to: by id of the log's topic and by partition, the offset of the last erasure whose user they lack.
    """

    folder: Path
    userid: Ints
    itemid: Ints
    rating: Ints
    ts: Ints
    catalogue: Catalogue
    recorded_hash: str = ""
    erased_to: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.userid)


def load(settings: Settings) -> Ratings:
    """Read the ratings from `settings.data_folder`; from the archive where that folder has none of the files.

    Once users were erased, the history in the archive lacks them, and is read in place of the data set that it is of.

    Raises:
        ArchiveError: the ratings in the archive are damaged.
        DataError: a file is missing, or a line is malformed; the message names the file and the line.
    """
    folder = settings.data_folder
    if not has_files(folder) and (archived := _archived(settings)) is not None:
        return archived
    if (archived := _without_erased(settings)) is not None:
        return archived
    check_files(folder)
    catalogue = Catalogue.of(_items(folder / MOVIES), _users(folder / USERS))
    columns = _ratings(folder / RATINGS)
    ratings = Ratings(folder, *columns, catalogue)
    _known(ratings.itemid, list(catalogue.items), "itemid", MOVIES)
    _known(ratings.userid, list(catalogue.users), "userid", USERS)
    return ratings


def has_files(folder: Path) -> bool:
    """Return True if a folder has any of the three files."""
    return any((folder / name).is_file() for name in FILES)


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
    return Ratings(archive.folder, *columns, history.catalogue, history.data_hash, history.erased_to)


def _without_erased(settings: Settings) -> Ratings | None:
    """The ratings in the archive, where they are those of the data folder without erased users; else None."""
    if not (settings.archive_folder / MANIFEST).is_file():
        return None
    from stores.archive.archive import Archive

    manifest = Archive(settings.archive_folder).manifest()
    if manifest is None or manifest.history is None or not manifest.history.erased:
        return None
    folder = settings.data_folder
    # A folder of our own lacks the erased users too; any other must be of the same data set.
    if settings.state not in folder.parents and not (
        all((folder / name).is_file() for name in FILES) and files_hash(folder) == manifest.history.data_hash
    ):
        return None
    return _archived(settings)


def check_files(folder: Path) -> None:
    """Check that a folder has the three files.

    Raises:
        DataError: naming the missing files, or the folder where there is none.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        lack = f"has no {', '.join(missing)}" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder} {lack}; set ML1M_DIR to a folder with the MovieLens-1M files, "
            "or run `reelstream data get` (download) or `reelstream data make` (generate)"
        )


def data_hash(ratings: Ratings) -> str:
    """SHA-256 over the three files, as hexadecimal digits."""
    return ratings.recorded_hash or files_hash(ratings.folder)


def files_hash(folder: Path) -> str:
    """SHA-256 over the three files in a folder, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _ratings(path: Path) -> tuple[Ints, Ints, Ints, Ints]:
    text = path.read_bytes()
    match = RATING_LINES.match(text)
    end = match.end() if match else 0
    if end < len(text):
        raise _malformed(path.name, text.count(b"\n", 0, end) + 1, RATING_RULE)
    if not text:
        raise DataError(f"{path.name} is empty; it needs lines of {RATING_RULE}")
    table = np.fromstring(text.replace(b"::", b" "), dtype=np.int64, sep=" ").reshape(-1, 4)
    userid, itemid, rating, ts = np.ascontiguousarray(table.T)
    return userid, itemid, rating, ts


def _users(path: Path) -> list[User]:
    users = []
    for number, line in enumerate(path.read_text("latin-1").splitlines(), 1):
        match = USER_LINE.fullmatch(line)
        if not match or int(match[3]) not in AGES or int(match[4]) >= OCCUPATIONS:
            raise _malformed(path.name, number, USER_RULE)
        users.append(User(int(match[1]), int(match[2] == "M"), AGES.index(int(match[3])), int(match[4])))
    return users


def _items(path: Path) -> list[Item]:
    items = []
    # Not splitlines(): a title may hold a character that it takes for the end of a line.
    for number, line in enumerate(path.read_text("latin-1").rstrip("\n").split("\n"), 1):
        match = MOVIE_LINE.fullmatch(line.rstrip("\r"))
        genres = match[4].split("|") if match else []
        if not match or any(genre not in GENRES for genre in genres):
            raise _malformed(path.name, number, MOVIE_RULE)
        places = tuple(sorted({GENRES.index(genre) for genre in genres}))
        items.append(Item(int(match[1]), match[2], int(match[3]), places))
    return items


def _known(ids: Ints, known: list[int], name: str, file: str) -> None:
    unknown = np.flatnonzero(~np.isin(ids, known))
    if len(unknown):
        place = int(unknown[0])
        raise DataError(f"{RATINGS}, line {place + 1}: {name} {ids[place]} is not in {file}; use files of one release")


def _malformed(file: str, line: int, rule: str) -> DataError:
    return DataError(f"{file}, line {line}: expected {rule}; correct the line or take the file from the public zip")


def events_of_items(ratings: Ratings, places: Ints) -> Ints:
    """Count the events at `places` by item, INT64 [items], by ascending itemid."""
    itemids = np.array(sorted(ratings.catalogue.items), dtype=np.int64)
    return np.bincount(np.searchsorted(itemids, ratings.itemid[places]), minlength=len(itemids))
