"""Files of a data set without the rows of some users."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.dataset import File
from lifecycle.data_files import UserFile, user_files
from tests import movielens, shop

USERS = ("u1", "ü;2", "u1x")


def of(path: Path, users: tuple[str, ...] = ("user",), **described: object) -> UserFile:
    return UserFile(path, File.model_validate({"path": path.name, **described}), users)


def is_gone(userid: str) -> bool:
    return userid == "ü;2"


PLAIN = {"format": "csv", "quote": False, "separator": "::"}


@pytest.mark.parametrize(
    ("described", "content", "left"),
    [
        (PLAIN | {"header": False, "columns": ["item", "user"]}, "a::u1\nb::ü;2\nü;2::u1x\n", "a::u1\nü;2::u1x\n"),
        (PLAIN, "user::item\r\nu1::a\r\nü;2::b\r\n", "user::item\r\nu1::a\r\n"),
        (
            {"format": "csv", "separator": ";"},
            'user;note\nu1;"a\n;b"\n"ü;2";"c"\nu1x;"d ""e"""\n',
            'user;note\nu1;"a\n;b"\nu1x;"d ""e"""\n',
        ),
        ({"format": "csv"}, "buyer,seller\nu1,u1\n", None),
    ],
)
def test_of_a_csv_file_all_rows_but_those_of_the_users_stay_as_they_are(
    tmp_path: Path, described: dict[str, object], content: str, left: str | None
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content.encode())
    found = of(path, **described).without(is_gone)
    assert found == (None if left is None else left.encode())


def test_a_file_in_another_encoding_is_read_in_it_and_written_in_it(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    for quote in (False, True):
        path.write_bytes("user|item\nu1|é\nü;2|é\n".encode("latin-1"))
        file = of(path, format="csv", separator="|", encoding="latin-1", quote=quote)
        assert (file.count("ü;2"), file.count("u1")) == (1, 1)
        assert file.without(is_gone) == "user|item\nu1|é\n".encode("latin-1")


def test_of_a_row_of_two_users_either_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("buyer,seller\nu1,ü;2\nü;2,u1\nu1,u1\n")
    file = of(path, ("buyer", "seller"), format="csv")
    assert (file.count("u1"), file.count("ü;2")) == (3, 2)
    assert file.without(is_gone) == b"buyer,seller\nu1,u1\n"


def test_lines_of_json_are_left_out_by_the_users_that_they_name(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [json.dumps({"user": userid, "note": "ü;2"}) + "\n" for userid in (*USERS, 7, None)]
    path.write_text("".join([*lines, "\n"]))
    file = of(path, format="jsonl")
    assert [file.count(userid) for userid in (*USERS, "7")] == [1, 1, 1, 1]
    assert file.without(is_gone) == "".join([*lines[:1], *lines[2:], "\n"]).encode()
    assert file.without(lambda userid: userid == "nobody") is None


@pytest.mark.parametrize("numbers", [False, True])
def test_rows_of_a_parquet_file_are_left_out_by_their_users(tmp_path: Path, numbers: bool) -> None:
    path = tmp_path / "events.parquet"
    users = [1, 2, None, 1] if numbers else ["u1", "ü;2", None, "u1"]
    table = pa.table({"user": users, "note": ["a", "b", "c", "d"]})
    pq.write_table(table, path)
    file, gone = of(path, format="parquet"), "2" if numbers else "ü;2"
    assert (file.count(gone), file.count("nobody"), file.count(str(users[0]))) == (1, 0, 2)
    content = file.without(lambda userid: userid == gone)
    assert content is not None
    path.write_bytes(content)
    assert pq.read_table(path).equals(table.take([0, 2, 3]))
    assert file.without(lambda userid: userid == gone) is None


def test_the_files_of_users_are_those_of_the_description_and_the_users_come_last(tmp_path: Path) -> None:
    for name in ("clicks.csv", "customers.csv", "products.jsonl", "ratings.dat", "users.dat"):
        (tmp_path / name).touch()
    found = user_files(shop.SCHEMA.dataset, tmp_path)
    assert [(file.path.name, file.columns) for file in found] == [
        ("clicks.csv", ("customer",)),
        ("customers.csv", ("customer",)),
    ]
    assert [file.path.name for file in user_files(movielens.SCHEMA.dataset, tmp_path)] == ["ratings.dat", "users.dat"]
    (tmp_path / "users.dat").unlink()
    assert [file.path.name for file in user_files(movielens.SCHEMA.dataset, tmp_path)] == ["ratings.dat"]
