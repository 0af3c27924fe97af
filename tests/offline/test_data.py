from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features import GENRES
from offline.data import generate, readers
from offline.errors import DataError
from settings import load

RATINGS = "1::1::5::978300760\n2::2::3::978300761\n"
USERS = "1::F::1::10::48067\n2::M::56::16::70072-1234\n"
MOVIES = "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Misérables, Les (1998)::Drama\n"


def write(folder: Path, ratings: str = RATINGS, users: str = USERS, movies: str = MOVIES) -> readers.Ratings:
    for name, text in ((readers.RATINGS, ratings), (readers.USERS, users), (readers.MOVIES, movies)):
        (folder / name).write_text(text, "latin-1")
    return readers.load(load(data={"folder": str(folder)}))


def test_ratings_are_read_in_file_order(tmp_path: Path) -> None:
    ratings = write(tmp_path)
    assert ratings.userid.tolist() == [1, 2]
    assert ratings.itemid.tolist() == [1, 2]
    assert ratings.rating.tolist() == [5, 3]
    assert ratings.ts.tolist() == [978300760, 978300761]
    assert ratings.ts.dtype == np.int64


def test_titles_years_genres_and_users_are_read(tmp_path: Path) -> None:
    catalogue = write(tmp_path).catalogue
    assert catalogue.items[1].title == "Toy Story"
    assert catalogue.items[1].year == 1995
    assert [GENRES[place] for place in catalogue.items[1].genres] == ["Animation", "Children's", "Comedy"]
    assert catalogue.items[2].title == "Misérables, Les"
    assert (catalogue.user(1).gender, catalogue.user(1).age, catalogue.user(1).occupation) == (0, 0, 10)
    assert (catalogue.user(2).gender, catalogue.user(2).age) == (1, 6)
    assert catalogue.user(3).gender == -1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ratings": RATINGS + "3::1::9::978300760\n"}, "ratings.dat, line 3: expected userid::itemid::rating"),
        ({"ratings": "1::1::5\n2::2::3::4::5\n"}, "ratings.dat, line 1: expected"),
        ({"ratings": "1::1::5::1\n\n2::2::3::1\n"}, "ratings.dat, line 2: expected"),
        ({"ratings": ""}, "ratings.dat is empty"),
        ({"ratings": "1::1::5::1\n2::7::3::1\n"}, "ratings.dat, line 2: itemid 7 is not in movies.dat"),
        ({"ratings": "1::1::5::1\n9::1::3::1\n"}, "ratings.dat, line 2: userid 9 is not in users.dat"),
        ({"users": "1::X::1::10::48067\n"}, "users.dat, line 1: expected userid::F or M"),
        ({"users": USERS + "3::M::19::16::70072\n"}, "users.dat, line 3: expected"),
        ({"movies": "1::Toy Story::Comedy\n"}, "movies.dat, line 1: expected itemid::title"),
        ({"movies": MOVIES + "3::Heat (1995)::Heist\n"}, "movies.dat, line 3: expected"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match="^" + message.replace("(", r"\(")):
        write(tmp_path, **files)


def test_missing_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set ML1M_DIR .* `reelstream data get` .* `reelstream data make`"):
        readers.load(load(data={"folder": str(tmp_path)}))


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    first = readers.data_hash(write(tmp_path))
    assert readers.data_hash(write(tmp_path)) == first
    assert readers.data_hash(write(tmp_path, ratings=RATINGS.replace("::5::", "::4::"))) != first


def test_generated_data_is_the_same_for_a_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        generate.make(tmp_path / name, 30, 60, 800, seed)
    for name in readers.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (tmp_path / "one" / readers.RATINGS).read_bytes() != (tmp_path / "other" / readers.RATINGS).read_bytes()


def test_generated_data_looks_like_movielens(tmp_path: Path) -> None:
    generate.make(tmp_path, 150, 120, 6000, 3)
    ratings = readers.load(load(state_dir=tmp_path, data={"folder": str(tmp_path)}))
    assert len(ratings) == 6000
    assert np.bincount(ratings.userid, minlength=151)[1:].min() >= 20
    assert sorted(ratings.catalogue.items) == list(range(1, 121))
    assert 0.55 < (ratings.rating > 3).mean() < 0.6
    assert all(1919 <= item.year <= 2000 and 1 <= len(item.genres) <= 3 for item in ratings.catalogue.items.values())
    pairs = set(zip(ratings.userid.tolist(), ratings.itemid.tolist(), strict=True))
    assert len(pairs) == len(ratings)
    shares = np.sort(np.bincount(ratings.itemid, minlength=121)[1:])[::-1] / len(ratings)
    assert shares[:12].sum() > 2 * 12 / 120
    order = np.lexsort((ratings.ts, ratings.userid))
    gaps = np.diff(ratings.ts[order])[np.diff(ratings.userid[order]) == 0]
    assert 0.2 < (gaps == 0).mean() < 0.6
    assert (gaps < 600).mean() > 0.9
    assert (gaps > 86400).mean() > 0.01


@pytest.mark.parametrize(("users", "items", "events"), [(10, 60, 100), (10, 60, 301), (10, 30, 200), (0, 60, 0)])
def test_generated_data_needs_numbers_that_fit(tmp_path: Path, users: int, items: int, events: int) -> None:
    with pytest.raises(DataError, match=r"raise --users|change --events"):
        generate.make(tmp_path, users, items, events, 1)


def test_reading_data_does_not_import_torch() -> None:
    modules = "readers, download, generate, split, history, windows, point_in_time, arrivals"
    code = f"import sys, offline.runs; from offline.data import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
