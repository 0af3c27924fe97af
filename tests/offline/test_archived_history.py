"""The offline history in the archive: the ratings, users and items come back as the data folder had them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offline.data import readers
from offline.errors import DataError
from offline.state.archived_history import archive_history
from settings import Settings
from stores.archive.archive import Archive
from stores.archive.history import HISTORY, read_history
from stores.errors import ArchiveError


@pytest.fixture
def elsewhere(generated: Settings, tmp_path: Path) -> Settings:
    """Settings with an empty state folder, and a data folder that is gone."""
    data = generated.data.model_copy(update={"folder": str(tmp_path / "gone")})
    return generated.model_copy(update={"state_dir": tmp_path / "state", "data": data})


def test_ratings_come_back_in_their_order_with_the_hash_of_their_data_set(
    generated: Settings, elsewhere: Settings
) -> None:
    ratings = readers.load(generated)
    with pytest.raises(DataError, match="does not exist"):
        readers.load(elsewhere)
    assert archive_history(elsewhere, ratings, readers.data_hash(ratings))
    read = readers.load(elsewhere)
    for name in ("userid", "itemid", "rating", "ts"):
        assert getattr(read, name).tolist() == getattr(ratings, name).tolist()
        assert getattr(read, name).dtype == getattr(ratings, name).dtype
    assert list(read.catalogue.items.items()) == list(ratings.catalogue.items.items())
    assert list(read.catalogue.users.items()) == list(ratings.catalogue.users.items())
    assert readers.data_hash(read) == readers.data_hash(ratings)


def test_the_history_is_written_once_and_never_replaced(generated: Settings, elsewhere: Settings) -> None:
    ratings = readers.load(generated)
    assert archive_history(elsewhere, ratings, "a")
    files = {path: path.stat().st_mtime_ns for path in (elsewhere.archive_folder / HISTORY).iterdir()}
    assert not archive_history(elsewhere, ratings, "a")
    with pytest.raises(ArchiveError, match="other data"):
        archive_history(elsewhere, replace(ratings, rating=ratings.rating[::-1]), "b")
    assert {path: path.stat().st_mtime_ns for path in files} == files


@pytest.mark.parametrize("name", ["events.parquet", "users.parquet", "items.parquet"])
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
