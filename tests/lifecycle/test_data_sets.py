"""The archive, the data folder and a backup of a data set that is not MovieLens, and of one that is described anew."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import datasets
from lifecycle.backup import DESCRIPTION
from lifecycle.backup_folder import BackupFolder, BackupManifest
from lifecycle.erasure.history import rewrite_data_folder
from lifecycle.errors import LifecycleError
from lifecycle.restore import SCHEMA_PATH, _require_description
from offline.data import generate_shop, readers
from offline.state.archived_history import archive_history
from settings import Settings, load
from stores.archive import history
from stores.archive.archive import Archive
from stores.archive.history import history_schema, read_history


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """Settings of a generated shop in the state folder."""
    settings = load(state_dir=tmp_path / "state", data={"dataset": "shop"})
    generate_shop.make(settings.data_folder, users=40, items=64, events=1200, seed=1)
    return settings


def described_anew(settings: Settings, folder: Path) -> Settings:
    """The same data with another description."""
    text = datasets.path_of("shop").read_text().replace("quantiles = 6", "quantiles = 4")
    (folder / "other.toml").write_text(text)
    return load(
        state_dir=settings.state, data={"dataset": str(folder / "other.toml"), "folder": str(settings.data_folder)}
    )


def test_the_folder_of_a_generated_shop_loses_the_erased_users(shop: Settings) -> None:
    ratings, archive = readers.load(shop), Archive(shop.archive_folder)
    data_hash = readers.data_hash(ratings)
    archive_history(shop, ratings, data_hash)
    customers = pq.read_table(shop.data_folder / generate_shop.CUSTOMERS).column("customer").to_pylist()
    erased, stays = customers[3], customers[4]
    with archive.locked():
        assert history.without_users(archive, {erased}, {"": {0: 7}}) == 1
    assert erased in (shop.data_folder / generate_shop.EVENTS).read_text()
    products = (shop.data_folder / generate_shop.PRODUCTS).read_bytes()
    assert rewrite_data_folder(shop, archive) is None
    events = (shop.data_folder / generate_shop.EVENTS).read_text().splitlines()
    assert not any(erased in line.split(",") for line in events) and any(stays in line for line in events)
    left = pq.read_table(shop.data_folder / generate_shop.CUSTOMERS).column("customer").to_pylist()
    assert left == [customer for customer in customers if customer != erased]
    assert (shop.data_folder / generate_shop.PRODUCTS).read_bytes() == products
    again = readers.load(shop)
    assert again.catalogue.users.keys() == ratings.catalogue.users.keys() - {erased}
    assert readers.data_hash(again) == data_hash


def test_a_folder_of_another_data_set_than_the_archive_has_is_left_alone(shop: Settings, tmp_path: Path) -> None:
    ratings, archive = readers.load(shop), Archive(shop.archive_folder)
    archive_history(shop, ratings, readers.data_hash(ratings))
    with archive.locked():
        history.without_users(archive, {next(iter(ratings.catalogue.users))}, {"": {0: 7}})
    films = load(state_dir=shop.state, data={"folder": str(tmp_path / "films")})
    films.data_folder.mkdir(parents=True)
    (films.data_folder / readers.USERS).write_text("1::F::1::0::1\n")
    assert rewrite_data_folder(films, archive) is None
    assert (films.data_folder / readers.USERS).read_text() == "1::F::1::0::1\n"


def test_the_archive_has_the_history_as_the_description_in_use_reads_it(shop: Settings, tmp_path: Path) -> None:
    ratings, archive = readers.load(shop), Archive(shop.archive_folder)
    data_hash = readers.data_hash(ratings)
    assert archive_history(shop, ratings, data_hash)
    assert not archive_history(shop, ratings, data_hash)
    erased = next(iter(ratings.catalogue.users))
    with archive.locked():
        history.without_users(archive, {erased}, {"": {0: 7}})
    anew = readers.load(described_anew(shop, tmp_path))
    assert anew.schema != ratings.schema and erased not in anew.catalogue.users
    assert archive_history(shop, anew, data_hash)
    assert history_schema(archive) == anew.schema
    found = read_history(archive)
    assert found is not None and found.catalogue == anew.catalogue
    assert (found.erased, found.erased_to, found.data_hash) == (1, {"": {0: 7}}, data_hash)
    assert not archive_history(shop, anew, data_hash)


def test_a_backup_is_restored_with_its_own_description_alone(shop: Settings, tmp_path: Path) -> None:
    folder, schema = BackupFolder(tmp_path / "backups"), readers.load(shop).schema
    with folder.writing():
        stored = folder.put(schema.to_json().encode())
        copied = folder.put(datasets.path_of("shop").read_bytes())

    def manifest(*with_description: str) -> BackupManifest:
        files = {SCHEMA_PATH: stored} | dict.fromkeys(with_description, copied)
        return BackupManifest(
            name="1", topic="", ends=[0], filed_to=[0], data_hash="", base=None, run=None, previous=None,
            max_future_s=0.0, data={}, files=files,
        )  # fmt: skip

    _require_description(shop, folder, manifest())
    films = load(state_dir=shop.state)
    with pytest.raises(LifecycleError, match=r"of the data set Shop, but data\.dataset names MovieLens-1M"):
        _require_description(films, folder, manifest())
    with pytest.raises(LifecycleError, match=f"copy of {folder.path(copied)}"):
        _require_description(described_anew(shop, tmp_path), folder, manifest(DESCRIPTION))
    copy = tmp_path / "copy.toml"
    copy.write_bytes(folder.path(copied).read_bytes())
    _require_description(load(state_dir=shop.state, data={"dataset": str(copy)}), folder, manifest(DESCRIPTION))
    of_earlier_release = manifest().model_copy(update={"files": {}})
    _require_description(films, folder, of_earlier_release)
