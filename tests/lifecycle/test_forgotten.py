"""The search for a user in files finds each mention, and nothing that is not one."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import Erasure, Event, Id
from lifecycle.forgotten.files import in_files
from lifecycle.forgotten.mentions import Mentions
from settings import Settings, load
from stores import Logged
from stores.archive.archive import Archive
from stores.evicted import EvictedUsers, StoredUser
from tests import movielens, shop

USER, OTHER = 77, 7
ODD = "u:7/é"
encode = movielens.SCHEMA.events.encode


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "ratings"
    folder.mkdir()
    return load(state_dir=tmp_path / "state", data={"folder": str(folder)})


def places(settings: Settings, userid: Id) -> list[str]:
    found = []
    for place in in_files(settings, Mentions(userid)):
        path, _, n = place.partition(": ")
        root = settings.state if path.startswith(str(settings.state)) else settings.data_folder
        found.append(f"{Path(path).relative_to(root)}: {n}")
    return found


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def archived(settings: Settings, records: list[tuple[bytes, bytes]], shard: int = 0) -> None:
    archive = Archive(settings.archive_folder)
    with archive.locked():
        archive.append(shard, 0, len(records), [Logged(shard, at, *record) for at, record in enumerate(records)])


def test_each_kind_of_file_is_searched(settings: Settings) -> None:
    state = settings.state
    archived(settings, [encode(Event(USER, 1, 5, 1)), encode(Event(OTHER, USER, 5, 1)), encode(Erasure(USER))])
    history = state / "archive" / "history"
    history.mkdir()
    pq.write_table(pa.table({"userid": [OTHER, USER, USER]}), history / "events.parquet")
    pq.write_table(pa.table({"itemid": [USER]}), history / "items.parquet")
    write(settings.data_folder / "ratings.dat", b"7::77::5::77\n77::1::5::1\n77::2::5::1\n")
    write(state / "logs" / "api.log", b"DELETE /users/77 202\nitem 77\nuser 7\n")
    write(state / "runs" / "one" / "manifest.json", b'{"users": 77, "userid": 77}')
    write(state / "snapshots" / "one" / "shard-0.msgpack", msgpack.packb({"users": {USER: []}, "counters": {}}))
    (state / "runs" / "one").mkdir(exist_ok=True)
    np.savez(state / "runs" / "one" / "arrays.npz", userid=np.array([USER, OTHER]), itemid=np.array([USER]))
    write(state / "runs" / "one" / "ids.json", json.dumps({"users": [OTHER, USER], "items": [USER]}).encode())
    EvictedUsers(settings.evicted_folder, "").put(5, {USER: StoredUser(b"", {})}, "one")
    shard = next((state / "archive").rglob("shard=0/*.parquet")).relative_to(state)
    assert sorted(places(settings, USER)) == sorted(
        [
            f"{shard}: 2 places",
            "archive/history/events.parquet: 2 places",
            "ratings.dat: 2 places",
            "logs/api.log: 1 place",
            "runs/one/manifest.json: 1 place",
            "runs/one/arrays.npz: 1 place",
            "runs/one/ids.json: 1 place",
            "snapshots/one/shard-0.msgpack: 1 place",
            "evicted/first.sqlite: 1 place",
        ]
    )


def test_a_user_who_was_never_here_is_found_nowhere(settings: Settings) -> None:
    archived(settings, [encode(Event(OTHER, USER, 5, USER))])
    write(settings.data_folder / "ratings.dat", b"7::77::5::77\n177::1::5::1\n")
    write(settings.data_folder / "movies.dat", b"77::An Item (1990)::Drama\n")
    write(settings.state / "logs" / "worker.log", b"user 7, item 77, users/770, 77 users, userid: 7.77\n")
    assert places(settings, USER) == []


@pytest.fixture
def of_shop(tmp_path: Path) -> Settings:
    folder = tmp_path / "goods"
    folder.mkdir()
    (tmp_path / "shop.toml").write_text(shop.DESCRIPTION)
    return load(state_dir=tmp_path / "state", data={"folder": str(folder), "dataset": str(tmp_path / "shop.toml")})


def test_a_user_of_a_shop_is_found_in_each_kind_of_file(of_shop: Settings) -> None:
    state, data = of_shop.state, of_shop.data_folder
    events = [shop.event(ODD, "i", shop.VIEW, 1), shop.event("u:7", ODD, shop.CART, 2), Erasure(ODD)]
    archived(of_shop, [shop.SCHEMA.events.encode(event) for event in events])
    history = state / "archive" / "history"
    history.mkdir()
    pq.write_table(pa.table({"userid": ["u:7", ODD]}), history / "events.parquet")
    clicks = f"customer,sku,at,action\n{ODD},a,1,view\nu:7,{ODD},2,view\n"
    write(data / "clicks.csv", clicks.encode())
    write(data / "customers.csv", f'customer;segment\n"{ODD}";new\nu;new\n'.encode())
    write(data / "products.jsonl", json.dumps({"sku": ODD, "name": "user " + ODD}).encode())
    write(state / "logs" / "api.log", f"GET /users/u%3A7%2F%C3%A9 200\nof user {ODD} cannot\n".encode())
    write(state / "audit.json", json.dumps({"userid": ODD}).encode())
    write(state / "runs" / "one" / "ids.json", json.dumps({"users": ["u:7", ODD], "items": [ODD]}).encode())
    write(state / "snapshots" / "one" / "shard-0.msgpack", msgpack.packb({"users": {ODD: []}, "counters": {}}))
    EvictedUsers(of_shop.evicted_folder, "").put(5, {ODD: StoredUser(b"", {})}, "one")
    shard = next((state / "archive").rglob("shard=0/*.parquet")).relative_to(state)
    assert sorted(places(of_shop, ODD)) == sorted(
        [
            f"{shard}: 2 places",
            "archive/history/events.parquet: 1 place",
            "clicks.csv: 1 place",
            "customers.csv: 1 place",
            "logs/api.log: 2 places",
            "audit.json: 1 place",
            "runs/one/ids.json: 1 place",
            "snapshots/one/shard-0.msgpack: 1 place",
            "evicted/first.sqlite: 1 place",
        ]
    )
    assert places(of_shop, "u:7/") == [] == places(of_shop, "nobody")
