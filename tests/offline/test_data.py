from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets import path_of
from features import GENRES
from features.catalogue import AGES
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
        (
            {"ratings": RATINGS + "3::1::9::978300760\n"},
            "ratings.dat, line 3: rating must be a whole number from 1 to 5, not '9'",
        ),
        ({"ratings": "1::1::5::1\n2::x::5::1\n"}, "ratings.dat, line 2: itemid must be a whole number from 1 to 2147"),
        ({"ratings": "1::1::5\n2::2::3::4::5\n"}, "ratings.dat, line 1: has 3 instead of 4 values"),
        ({"ratings": "1::1::5::1\n\n2::2::3::1\n"}, "ratings.dat, line 2: ts must be a number"),
        ({"ratings": ""}, "ratings.dat is empty"),
        ({"ratings": "1::1::5::1\n2::7::3::1\n"}, "ratings.dat, line 2: itemid 7 is not in movies.dat"),
        ({"ratings": "1::1::5::1\n9::1::3::1\n"}, "ratings.dat, line 2: userid 9 is not in users.dat"),
        ({"users": "1::X::1::10::48067\n"}, "users.dat, line 1: gender must be one of F, M, not 'X'"),
        ({"users": USERS + "3::M::19::16::70072\n"}, "users.dat, line 3: age must be one of 1, 18"),
        ({"movies": "1::Toy Story::Comedy\n"}, "movies.dat, line 1: title must be a text that matches"),
        ({"movies": MOVIES + "3::Heat (1995)::Heist\n"}, "movies.dat, line 3: genres must be one of Action, Adventure"),
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


def test_movielens_100k_is_read_by_its_description(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t2\t5\t881250949\n2\t1\t3\t881250950\n")
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|none|94043\n")
    flags = {
        "Toy Story (1995)": ["Animation", "Children's", "Comedy"],
        "unknown": ["unknown"],
        "Love (1996) (V)": ["War"],
    }
    names = ["unknown", *GENRES]
    (tmp_path / "u.item").write_text(
        "".join(
            f"{number}|{title}|01-Jan-1995||http://x|{'|'.join(str(int(name in genres)) for name in names)}\n"
            for number, (title, genres) in enumerate(flags.items(), 1)
        )
    )
    ratings = readers.load(load(data={"folder": str(tmp_path), "dataset": "movielens-100k"}, state_dir=tmp_path))
    assert (ratings.userid.tolist(), ratings.itemid.tolist()) == ([1, 2], [2, 1])
    assert (ratings.rating.tolist(), ratings.ts.tolist()) == ([5, 3], [881250949, 881250950])
    items = ratings.catalogue.items.values()
    assert [(item.title, item.year, item.decade) for item in items] == [
        ("Toy Story", 1995, 8),
        ("unknown", 1995, 8),
        ("Love", 1996, 8),
    ]
    assert [[GENRES[place] for place in item.genres] for item in items] == [*list(flags.values())[:1], [], ["War"]]
    users = ratings.catalogue.users.values()
    assert [(user.gender, user.age, user.occupation) for user in users] == [(1, 1, 19), (0, 5, 12)]
    assert len(readers.data_hash(ratings)) == 64


DESCRIPTION = path_of("movielens-1m").read_text()


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('ids = "integer"\nfile = "movies"', 'ids = "string"\nfile = "movies"', "string ids of items are"),
        ('id = "userid"', 'id = "userid"\ncomplete = false', "users that no file names are"),
        ("[items]", "[feedback.view]\nvalue = {}\n[items]", "events of several types (rating, view) are"),
        ("maximum = 5", "maximum = 10", "events without a whole number from 1 to 5 (feedback.rating) are"),
        ("value >= 4", "value >= 5", "feedback other than positive from a value of 4 on"),
        ('"replace"', '"accumulate"', "events that do not replace earlier ones"),
        ("[items]", '[split]\nkind = "time"\nat = 2000-01-01T00:00:00Z\n[items]', "a split by a point in time is"),
        ("[items.attributes.year]", "[items.attributes.born]", "attributes of items other than title, year, genres"),
        ('"War", ', "", "genres other than those of MovieLens-1M, in their order and as terms, are"),
        ("[1920, 1930", "[1900, 1930", "decades other than those of MovieLens-1M, as terms, are"),
        ('"56"]', '"56", "99"]', "users' age with other than 7 declared values is"),
    ],
)
def test_what_the_models_do_not_support_yet_is_refused_in_one_sentence(
    tmp_path: Path, old: str, new: str, part: str
) -> None:
    text = (
        DESCRIPTION.replace("[items.attributes.year]", new).replace('"year"', '"born"')
        if "born" in new
        else DESCRIPTION
    )
    assert old in DESCRIPTION
    (tmp_path / "my.toml").write_text(text.replace(old, new))
    with pytest.raises(DataError) as told:
        readers.load(load(data={"folder": str(tmp_path), "dataset": str(tmp_path / "my.toml")}, state_dir=tmp_path))
    assert str(told.value).startswith(f"my.toml: {part}")
    assert str(told.value).endswith("not supported yet; datasets/movielens-1m.toml shows what is")


def test_a_split_that_contradicts_the_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(DESCRIPTION + '[split]\nkind = "last"\nevents = 5\n')
    with pytest.raises(
        DataError, match=r"^my\.toml: the split holds out the last 5 events .* data\.online_events is 10"
    ):
        readers.load(load(data={"folder": str(tmp_path), "dataset": str(tmp_path / "my.toml")}, state_dir=tmp_path))


def test_missing_files_of_another_data_set_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"has no u\.data, u\.user, u\.item; set REELSTREAM_DATA__FOLDER .*MovieLens-100K"
    ):
        readers.load(load(data={"folder": str(tmp_path), "dataset": "movielens-100k"}, state_dir=tmp_path))


def reference(folder: Path) -> tuple[list[list[int]], list[tuple[object, ...]], list[tuple[int, ...]]]:
    """Ratings, items and users of MovieLens-1M, read line by line."""
    lines = {name: (folder / name).read_text("latin-1").rstrip("\n").split("\n") for name in readers.FILES}
    ratings = [[int(value) for value in line.split("::")] for line in lines[readers.RATINGS]]
    items = []
    for line in lines[readers.MOVIES]:
        itemid, title, genres = line.split("::")
        places = tuple(sorted(GENRES.index(genre) for genre in genres.split("|")))
        items.append((int(itemid), title[:-6].rstrip(), int(title[-5:-1]), places))
    users = []
    for line in lines[readers.USERS]:
        userid, gender, age, occupation, _ = line.split("::")
        users.append((int(userid), "FM".index(gender), AGES.index(int(age)), int(occupation)))
    return ratings, items, users


def assert_read_as_before(ratings: readers.Ratings) -> None:
    lines, items, users = reference(ratings.folder)
    columns = (ratings.userid, ratings.itemid, ratings.rating, ratings.ts)
    assert np.array_equal(np.column_stack(columns), np.array(lines))
    assert all(column.dtype == np.int64 for column in columns)
    assert [(each.itemid, each.title, each.year, each.genres) for each in ratings.catalogue.items.values()] == items
    assert [(u.userid, u.gender, u.age, u.occupation) for u in ratings.catalogue.users.values()] == users
    content = b"".join((ratings.folder / name).read_bytes() for name in ("ratings.dat", "users.dat", "movies.dat"))
    assert readers.data_hash(ratings) == hashlib.sha256(content).hexdigest()


def test_generated_data_is_read_as_line_by_line(ratings: readers.Ratings) -> None:
    assert_read_as_before(ratings)


@pytest.mark.ml1m
def test_movielens_1m_is_read_as_line_by_line(ml1m: readers.Ratings) -> None:
    assert len(ml1m) == 1_000_209
    assert_read_as_before(ml1m)
    assert int((ml1m.rating >= 4).sum()) == 575_281
