"""`reelstream data make` and `reelstream init`, as one types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.dataset import parse
from offline.data import generate_shop, readers
from settings import load
from tests.commands import command, refuse

SMALL = ("--users", "40", "--items", "70", "--events", "900")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ML1M_DIR", "REELSTREAM_DATA__DATASET", "REELSTREAM_DATA__FOLDER", "REELSTREAM_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("dataset", "words", "files", "folder"),
    [
        ("", (), readers.FILES, "data"),
        ("", ("--like", "shop"), generate_shop.FILES, "generated/shop"),
        ("shop", (), generate_shop.FILES, "generated/shop"),
        ("shop", ("--like", "movielens"), readers.FILES, "data"),
    ],
)
def test_data_is_generated_like_the_data_set_that_is_wanted_where_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    dataset: str,
    words: tuple[str, ...],
    files: tuple[str],
    folder: str,
) -> None:
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", dataset)
    done = command("data", "make", *words, *SMALL)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / ".reelstream" / folder) == sorted(files)
    if not words:
        assert load().data_folder == tmp_path / ".reelstream" / folder
        readers.check_files(load())


def test_the_variables_that_it_prints_find_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = command("data", "make", "--like", "shop", "--folder", "clicks", *SMALL)
    told = " ".join(done.stderr.split())
    assert "900 events are in clicks; `export REELSTREAM_DATA__DATASET=shop REELSTREAM_DATA__FOLDER=clicks`" in told
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", "shop")
    monkeypatch.setenv("REELSTREAM_DATA__FOLDER", "clicks")
    readers.check_files(load())
    assert names(tmp_path / "clicks") == sorted(generate_shop.FILES)


def test_data_like_that_of_another_description_cannot_be_generated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    generate_shop.make(tmp_path / "shop", 40, 70, 900, 1)
    (tmp_path / "shop" / generate_shop.EVENTS).rename(tmp_path / "shop" / "clicks.csv")
    assert command("init", "shop", "--out", "my.toml").returncode == 0
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", "my.toml")
    assert "give --like movielens or --like shop" in refuse("data", "make")


def test_a_drafted_description_finds_its_files_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    generate_shop.make(tmp_path / "shop of mine", 40, 70, 900, 1)
    done = command("init", "shop of mine", "--out", "my.toml", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["events"], figures["items"], figures["users"]) == (900, 70, 40)
    assert sum(figures["types"].values()) == 900
    assert (tmp_path / "my.toml").read_text() == figures["text"]
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", str(tmp_path / "my.toml"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ratings = readers.load(load())
    assert len(ratings) == 900
    # Where the files lie is not part of what is stored.
    assert ratings.schema.dataset.folder == ""
    assert parse(figures["text"]).folder == "shop of mine"


def test_a_draft_says_what_it_assumed_and_what_to_do_next(tmp_path: Path) -> None:
    generate_shop.make(tmp_path / "shop", 40, 70, 900, 1)
    told = " ".join(command("init", "shop", "--out", "my.toml").stdout.split())
    assert told.startswith("my.toml describes 900 events (")
    assert "- 'product' of products.jsonl is the id of items" in told
    assert told.endswith("Correct it, then: export REELSTREAM_DATA__DATASET=my.toml")


def test_a_folder_that_cannot_be_drafted_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.csv").write_text("name,size\na,1\nb,2\n")
    assert refuse("init", "notes", "--out", "my.toml") == (
        "error: no column of a.csv can hold the times of events; add one with, say, times in ISO format"
    )
    assert not (tmp_path / "my.toml").exists()
    (tmp_path / "my.toml").write_text("kept")
    assert "my.toml exists already" in refuse("init", "notes", "--out", "my.toml")
    assert (tmp_path / "my.toml").read_text() == "kept"
