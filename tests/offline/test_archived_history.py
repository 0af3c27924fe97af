"""The offline history in the archive: events, users and items come back as the data folder had them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import datasets
from offline.data import readers
from offline.data.readers import Ratings
from offline.errors import DataError
from offline.state.archived_history import archive_history
from settings import Settings
from stores.archive.archive import Archive
from stores.archive.history import HISTORY, read_history, without_users
from stores.errors import ArchiveError


def moved(settings: Settings, tmp_path: Path) -> Settings:
    """The settings with an empty state folder, and a data folder that is gone."""
    data = settings.data.model_copy(update={"folder": str(tmp_path / "gone")})
    return settings.model_copy(update={"state_dir": tmp_path / "state", "data": data})


@pytest.fixture(params=["generated", "shop"])
def origin(request: pytest.FixtureRequest) -> Settings:
    """Settings with a data set, with each in turn."""
    settings = request.getfixturevalue(request.param)
    assert isinstance(settings, Settings)
    return settings


@pytest.fixture
def elsewhere(generated: Settings, tmp_path: Path) -> Settings:
    return moved(generated, tmp_path)


def assert_same(read: Ratings, expected: Ratings) -> None:
    for name in ("user", "item", "code", "ts", "value"):
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))
        assert getattr(read, name).dtype == getattr(expected, name).dtype
    assert (read.schema, read.users, read.items) == (expected.schema, expected.users, expected.items)
    assert list(read.catalogue.items.items()) == list(expected.catalogue.items.items())
    assert list(read.catalogue.users.items()) == list(expected.catalogue.users.items())
    assert readers.data_hash(read) == readers.data_hash(expected)


def test_events_come_back_in_their_order_with_the_hash_of_their_data_set(origin: Settings, tmp_path: Path) -> None:
    ratings, elsewhere = readers.load(origin), moved(origin, tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        readers.load(elsewhere)
    assert archive_history(elsewhere, ratings, readers.data_hash(ratings))
    assert_same(readers.load(elsewhere), ratings)


def test_without_erased_users_the_history_in_the_archive_is_read_in_place_of_the_files(
    origin: Settings, tmp_path: Path
) -> None:
    ratings = readers.load(origin)
    settings = origin.model_copy(update={"state_dir": tmp_path / "state"})
    assert archive_history(settings, ratings, readers.data_hash(ratings))
    assert_same(readers.load(settings), ratings)
    gone = [ratings.userid(0), ratings.userid(len(ratings) - 1)]
    archive = Archive(settings.archive_folder)
    with archive.locked():
        assert without_users(archive, gone, {"topic": {0: 5}}) == 2
    read = readers.load(settings)
    left = ratings.without(gone)
    everything = np.arange(len(left))
    assert list(read.events(everything)) == list(left.events(everything))
    assert (read.schema, read.erased, read.erased_to) == (ratings.schema, 2, {"topic": {0: 5}})
    # With another description of the same files, they are read again, and the users left out.
    other = tmp_path / "other.toml"
    text = datasets.path_of(settings.dataset).read_text()
    other.write_text(text.replace('positive = "always"', 'positive = "never"', 1).replace("value >= 4", "value >= 5"))
    data = settings.data.model_copy(update={"dataset": str(other)})
    again = readers.load(settings.model_copy(update={"data": data}))
    assert again.schema.dataset != ratings.schema.dataset
    assert list(again.events(everything)) == list(left.events(everything))
    assert not {*gone} & again.catalogue.users.keys()
    assert again.positive.sum() < left.positive.sum()
    assert (again.erased, again.erased_to, readers.data_hash(again)) == (2, {"topic": {0: 5}}, readers.data_hash(read))


def test_the_history_is_written_once_and_never_replaced(generated: Settings, elsewhere: Settings) -> None:
    ratings = readers.load(generated)
    assert archive_history(elsewhere, ratings, "a")
    files = {path: path.stat().st_mtime_ns for path in (elsewhere.archive_folder / HISTORY).iterdir()}
    assert not archive_history(elsewhere, ratings, "a")
    with pytest.raises(ArchiveError, match="other data"):
        archive_history(elsewhere, replace(ratings, code=ratings.code[::-1]), "b")
    assert {path: path.stat().st_mtime_ns for path in files} == files


@pytest.mark.parametrize("name", ["events.parquet", "users.parquet", "items.parquet", "schema.json"])
def test_a_damaged_history_is_refused(generated: Settings, elsewhere: Settings, name: str) -> None:
    archive_history(elsewhere, readers.load(generated), "a")
    path = elsewhere.archive_folder / HISTORY / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArchiveError, match=f"{name} .*does not match the hash"):
        readers.load(elsewhere)
    path.unlink()
    with pytest.raises(ArchiveError, match="cannot be read"):
        readers.load(elsewhere)


def test_a_history_whose_writer_died_before_the_manifest_is_written_again(
    generated: Settings, elsewhere: Settings
) -> None:
    folder = elsewhere.archive_folder / HISTORY
    folder.mkdir(parents=True)
    (folder / "events.parquet").write_bytes(b"half")
    assert read_history(Archive(elsewhere.archive_folder)) is None
    ratings = readers.load(generated)
    assert archive_history(elsewhere, ratings, readers.data_hash(ratings))
    assert len(readers.load(elsewhere)) == len(ratings)
