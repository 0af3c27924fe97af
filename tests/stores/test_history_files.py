"""The offline history of any data set comes back from its files, also from those of the first version."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets
from features import Catalogue, Id, Learned, Schema
from features.dataset import parse
from stores.archive import history
from stores.archive.archive import Archive
from stores.archive.history import HISTORY, read_history, without_users, write_history
from stores.archive.history_files import EVENTS, ITEMS, SCHEMA, USERS, OfflineHistory
from stores.archive.manifest import HistoryManifest, Manifest
from stores.archive.record_file import VERSION_KEY
from stores.errors import ArchiveError
from tests import movielens, shop


def ids(values: list[Id]) -> Any:
    return np.array(values, dtype=object if isinstance(values[0], str) else np.int64)


def history_of(schema: Schema, catalogue: Catalogue, events: list[tuple[Id, Id, int, int]], **rest: Any) -> Any:
    userid, itemid, code, ts = (list(column) for column in zip(*events, strict=True))
    return OfflineHistory(schema, ids(userid), ids(itemid), np.array(code), np.array(ts), catalogue, "hash", **rest)


FILMS = history_of(
    movielens.SCHEMA,
    movielens.catalogue(
        [movielens.item(3, "Three", 1987, (0, 7)), movielens.item(1, "One", 2000, (3,))],
        [movielens.user(7, 1, 2, 20), movielens.user(2)],
    ),
    [(7, 1, 5, 100), (2, 3, 1, 90), (7, 3, 4, 100)],
)
GOODS = history_of(
    shop.SCHEMA,
    shop.catalogue(
        [shop.item("b/2", "Two", (), -1, None, "a text"), shop.item("a", "", (0, 2), 79, 9.5)],
        [shop.user("ünal", 1), shop.user("7")],
    ),
    [("ünal", "a", shop.VIEW, 100), ("7", "b/2", shop.PURCHASE, 90), ("ünal", "b/2", shop.CART, 100)],
)
PLAIN = Schema(
    parse(
        """
name = "Plain"
events = [{ file = "log", user = "u", item = "i", time = "t", event = "listen", value = "seconds" }]
items = { ids = "string" }
users = { ids = "integer" }
files.log = { path = "log.csv", format = "csv" }

[feedback.listen]
value = { minimum = 0 }
positive = "value >= 30"
"""
    ),
    Learned(),
)
LISTENS = history_of(
    PLAIN,
    Catalogue.of([PLAIN.item("x", "", ())], [PLAIN.user(1)], 0),
    [(1, "x", 1, 100), (1, "x", 2, 101)],
    value=np.array([31.5, 2.25]),
    erased=3,
    erased_to={"topic": {0: 7}},
)
HISTORIES = {"films": FILMS, "goods": GOODS, "without attributes": LISTENS}


def assert_same(found: OfflineHistory | None, expected: OfflineHistory) -> None:
    assert found is not None
    assert found.schema == expected.schema
    for name in ("userid", "itemid", "code", "ts"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours.tolist(), ours.dtype) == (theirs.tolist(), theirs.dtype), name
    value = np.full(len(expected.code), np.nan) if expected.value is None else expected.value
    np.testing.assert_array_equal(found.value, value)
    assert list(found.catalogue.items.items()) == list(expected.catalogue.items.items())
    assert [item.terms for item in found.catalogue.items.values()] == [
        item.terms for item in expected.catalogue.items.values()
    ]
    assert list(found.catalogue.users.items()) == list(expected.catalogue.users.items())
    rest = (found.data_hash, found.erased, found.erased_to, found.catalogue.user_attributes)
    assert rest == (expected.data_hash, expected.erased, expected.erased_to, expected.catalogue.user_attributes)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    archive = Archive(tmp_path / "archive")
    assert write_history(archive, HISTORIES[name])
    assert_same(read_history(archive), HISTORIES[name])


@pytest.mark.parametrize(("name", "userid"), [("films", 7), ("goods", "ünal")])
def test_a_history_without_a_user_keeps_the_others(tmp_path: Path, name: str, userid: Id) -> None:
    archive = Archive(tmp_path / "archive")
    whole = HISTORIES[name]
    write_history(archive, whole)
    with archive.locked():
        assert without_users(archive, {userid, "nobody" if isinstance(userid, str) else 999}, {"topic": {1: 5}}) == 1
    left = whole.userid != userid
    users = {known: user for known, user in whole.catalogue.users.items() if known != userid}
    rest = {column: getattr(whole, column)[left] for column in ("userid", "itemid", "code", "ts")}
    catalogue = replace(whole.catalogue, users=users)
    assert_same(
        read_history(archive), replace(whole, catalogue=catalogue, erased=1, erased_to={"topic": {1: 5}}, **rest)
    )
    assert len(users) == 1 and left.sum() == 1


def write_first_version(archive: Archive) -> None:
    """Write FILMS as a release did that knew of no other data set."""
    items, users = FILMS.catalogue.items.values(), FILMS.catalogue.users.values()
    tables = {
        EVENTS: {"userid": FILMS.userid, "itemid": FILMS.itemid, "rating": FILMS.code, "ts": FILMS.ts},
        USERS: {
            "userid": [user.userid for user in users],
            **{
                name: [user.codes[place] for user in users]
                for place, name in enumerate(("gender", "age", "occupation"))
            },
        },
        ITEMS: {
            "itemid": [item.itemid for item in items],
            "title": [item.title for item in items],
            "year": [item.values[0] for item in items],
            "genres": [[movielens.GENRES[code] for code in item.terms[0]] for item in items],
        },
    }
    folder = archive.folder / HISTORY
    folder.mkdir(parents=True)
    sha256 = {}
    for name, columns in tables.items():
        pq.write_table(pa.table(columns).replace_schema_metadata({VERSION_KEY: b"1"}), folder / name)
        sha256[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    entry = HistoryManifest(data_hash="hash", sha256=sha256, events=3, users=2, items=2)
    archive.write_manifest(Manifest(history=entry))


def test_a_history_of_the_first_version_is_of_movielens(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    write_first_version(archive)
    found = read_history(archive)
    assert_same(found, FILMS)
    assert found is not None and found.schema == datasets.first_schema()


@pytest.mark.parametrize("moved", range(4))
def test_one_of_the_first_version_that_is_written_again_is_read_wherever_its_writer_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    archive = Archive(tmp_path / "archive")
    write_first_version(archive)
    monkeypatch.setattr(history, "settle", lambda archive: None)
    with archive.locked():
        without_users(archive, {7}, {})
    for path in sorted((archive.folder / history.COMING).iterdir())[:moved]:
        path.replace(archive.folder / HISTORY / path.name)
    found = read_history(archive)
    assert found is not None and found.userid.tolist() == [2] and list(found.catalogue.users) == [2]
    monkeypatch.undo()
    history.settle(archive)
    assert not (archive.folder / history.COMING).exists()
    assert_same(read_history(archive), found)


def test_a_history_of_a_later_version_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    write_history(archive, GOODS)
    manifest = archive.manifest()
    assert manifest is not None and manifest.history is not None
    for name, content in (
        (SCHEMA, GOODS.schema.to_json().replace('"schema_version":1', '"schema_version":99', 1).encode()),
        (EVENTS, later_version(archive.folder / HISTORY / EVENTS)),
    ):
        path = archive.folder / HISTORY / name
        before = path.read_bytes()
        path.write_bytes(content)
        sha256 = {**manifest.history.sha256, name: hashlib.sha256(content).hexdigest()}
        entry = manifest.history.model_copy(update={"sha256": sha256})
        archive.write_manifest(manifest.model_copy(update={"history": entry}))
        with pytest.raises(ArchiveError, match=r"99.* use the (one|release) that wrote it"):
            read_history(archive)
        path.write_bytes(before)


def later_version(path: Path) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pq.read_table(path).replace_schema_metadata({VERSION_KEY: b"99"}), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
