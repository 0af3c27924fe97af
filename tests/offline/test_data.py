from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import datasets
from features import Event, Schema
from features.dataset import DataSet, parse
from offline.data import from_tables, generate, learning, readers
from offline.data.split import split
from offline.data.tables import read
from offline.errors import DataError
from settings import Settings, load
from tests.movielens import GENRES, SCHEMA
from tests.offline.shop_data import DESCRIBED

RATINGS = "1::1::5::978300760\n2::2::3::978300761\n"
USERS = "1::F::1::10::48067\n2::M::56::16::70072-1234\n"
MOVIES = "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Misérables, Les (1998)::Drama\n"


def write(folder: Path, ratings: str = RATINGS, users: str = USERS, movies: str = MOVIES) -> readers.Ratings:
    for name, text in ((readers.RATINGS, ratings), (readers.USERS, users), (readers.MOVIES, movies)):
        (folder / name).write_text(text, "latin-1")
    return readers.load(load(data={"folder": str(folder)}))


def test_ratings_are_read_in_file_order(tmp_path: Path) -> None:
    ratings = write(tmp_path)
    assert list(ratings.events(np.arange(2))) == [Event(1, 1, 5, 978300760), Event(2, 2, 3, 978300761)]
    assert all(column.dtype == np.int64 for column in (ratings.user, ratings.item, ratings.code, ratings.ts))


def test_titles_years_genres_and_users_are_read(tmp_path: Path) -> None:
    catalogue = write(tmp_path).catalogue
    year, genres, _ = catalogue.items[1].values
    assert (catalogue.items[1].title, year) == ("Toy Story", 1995)
    assert [GENRES[place] for place in genres] == ["Animation", "Children's", "Comedy"]
    assert catalogue.items[2].title == "Misérables, Les"
    assert catalogue.user(1).codes == (0, 0, 10)
    assert catalogue.user(2).codes == (1, 6, 16)
    assert catalogue.user(3).codes == (-1, -1, -1)


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


@pytest.fixture(params=[generate.DENSE_ITEMS, 50], ids=["small", "large"])
def size_of_catalogue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catalogues of either way in which items are drawn."""
    monkeypatch.setattr(generate, "DENSE_ITEMS", request.param)


@pytest.mark.usefixtures("size_of_catalogue")
def test_generated_data_is_the_same_for_a_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        generate.make(tmp_path / name, 30, 60, 800, seed)
    for name in readers.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (tmp_path / "one" / readers.RATINGS).read_bytes() != (tmp_path / "other" / readers.RATINGS).read_bytes()


@pytest.mark.usefixtures("size_of_catalogue")
def test_generated_data_looks_like_movielens(tmp_path: Path) -> None:
    generate.make(tmp_path, 150, 120, 6000, 3)
    ratings = readers.load(load(state_dir=tmp_path, data={"folder": str(tmp_path)}))
    assert len(ratings) == 6000
    assert np.bincount(ratings.user, minlength=151)[1:].min() >= 20
    assert sorted(ratings.catalogue.items) == list(range(1, 121))
    assert 0.55 < (ratings.code > 3).mean() < 0.6
    for year, genres, _ in (item.values for item in ratings.catalogue.items.values()):
        assert 1919 <= year <= 2000 and 1 <= len(genres) <= 3
    pairs = set(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))
    assert len(pairs) == len(ratings)
    shares = np.sort(np.bincount(ratings.item, minlength=121)[1:])[::-1] / len(ratings)
    assert shares[:12].sum() > 2 * 12 / 120
    order = np.lexsort((ratings.ts, ratings.user))
    gaps = np.diff(ratings.ts[order])[np.diff(ratings.user[order]) == 0]
    assert 0.2 < (gaps == 0).mean() < 0.6
    assert (gaps < 600).mean() > 0.9
    assert (gaps > 86400).mean() > 0.01


@pytest.mark.parametrize(("users", "items", "events"), [(10, 60, 100), (10, 60, 301), (10, 30, 200), (0, 60, 0)])
def test_generated_data_needs_numbers_that_fit(tmp_path: Path, users: int, items: int, events: int) -> None:
    with pytest.raises(DataError, match=r"raise --users|change --events"):
        generate.make(tmp_path, users, items, events, 1)


def test_reading_data_does_not_import_torch() -> None:
    modules = "readers, download, generate, split, history, windows, point_in_time, arrivals, learning, from_tables"
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
    assert list(ratings.events(np.arange(2))) == [Event(1, 2, 5, 881250949), Event(2, 1, 3, 881250950)]
    items = ratings.catalogue.items.values()
    assert [(item.title, item.values[0], item.terms[1]) for item in items] == [
        ("Toy Story", 1995, (8,)),
        ("unknown", 1995, (8,)),
        ("Love", 1996, (8,)),
    ]
    assert [[GENRES[place] for place in item.terms[0]] for item in items] == [*list(flags.values())[:1], [], ["War"]]
    assert [user.codes for user in ratings.catalogue.users.values()] == [(1, 1, 19), (0, 5, 12)]
    assert len(readers.data_hash(ratings)) == 64


def test_a_description_that_leaves_nothing_open_teaches_nothing(ratings: readers.Ratings) -> None:
    """So the state of an earlier release, which had no schema, is of the same."""
    assert ratings.schema == SCHEMA == datasets.first_schema()
    assert Schema.from_json(ratings.schema.to_json()) == ratings.schema


def test_what_the_description_leaves_open_is_learned(shop: Settings, shop_events: readers.Ratings) -> None:
    tables = read(shop_events.schema.dataset, shop.data_folder)
    price = tables.items.attributes["price"].numbers
    low, middle, high = np.quantile(price[~np.isnan(price)], [0.25, 0.5, 0.75])
    categories, brand, found, _ = shop_events.schema.item_attributes
    assert (found.center, found.scale) == (middle, high - low)
    assert found.bounds == tuple(np.quantile(price[~np.isnan(price)], [1 / 3, 2 / 3]))
    assert len(found.values) == 3 and found.values[0].startswith("below")
    assert {*categories.values} == {"garden", "kitchen", "toys"}
    assert brand.values == tables.items.attributes["brand"].names
    train = split(shop_events, shop.data).train
    assert shop_events.schema.positive_share == shop_events.positive[train].mean()
    assert shop_events.schema.learned.users == {}


def test_a_number_that_never_varies_has_the_scale_1(tmp_path: Path) -> None:
    text = DESCRIBED.replace("quantiles = 3\nterm = true", "center = 3")
    (tmp_path / "clicks.csv").write_text("at,customer,action,sku\n2024-01-01T00:00:00Z,u,purchase,a\n")
    (tmp_path / "customers.csv").write_text("customer;segment\nu;new\n")
    products = [{"sku": sku, "name": sku, "categories": [], "brand": None, "price": 5.0} for sku in "ab"]
    lines = [json.dumps({**product, "description": None}) + "\n" for product in products]
    (tmp_path / "products.jsonl").write_text("".join(lines))
    dataset = parse(text)
    schema = learning.learn(dataset, read(dataset, tmp_path), lambda: 0.25)
    price = schema.item_attributes[2]
    assert (price.name, price.center, price.scale, price.bounds, price.values) == ("price", 3.0, 1.0, (), ())
    assert schema.positive_share == 0.25


def test_a_shop_is_read_with_its_ids_types_and_missing_values(shop: Settings, shop_events: readers.Ratings) -> None:
    """Compared with the lines of its files."""
    folder, schema = shop.data_folder, shop_events.schema
    clicks = [line.split(",") for line in (folder / "clicks.csv").read_text().splitlines()[1:]]
    expected = list(dict.fromkeys((who, sku, action, datetime.fromisoformat(at)) for at, who, action, sku in clicks))
    found = [
        (event.userid, event.itemid, schema.codes.type(event.code), datetime.fromtimestamp(event.ts, UTC))
        for event in shop_events.events(np.arange(len(shop_events)))
    ]
    assert found == expected
    products = [json.loads(line) for line in (folder / "products.jsonl").read_text().splitlines()]
    assert list(shop_events.catalogue.items) == [product["sku"] for product in products]
    names = [schema.item_attributes[place].values for place in (0, 1)]
    for product, item in zip(products, shop_events.catalogue.items.values(), strict=True):
        categories, brand, price, text = item.values
        assert (item.title, price, text) == (product["name"], product["price"], product["description"])
        assert sorted(names[0][code] for code in categories) == product["categories"]
        assert names[1][brand] == product["brand"]
    segments = dict(line.split(";") for line in (folder / "customers.csv").read_text().splitlines()[1:])
    assert {*shop_events.catalogue.users} == {*segments} | {event[0] for event in found}
    for userid, user in shop_events.catalogue.users.items():
        assert user.codes == (("new", "regular").index(segments[userid]) if segments.get(userid) else -1,)
    assert any(price is None for _, _, price, _ in (item.values for item in shop_events.catalogue.items.values()))


def test_numbers_are_the_places_of_the_ids_in_ascending_order(events: readers.Ratings) -> None:
    assert list(events.users.ids) == sorted(events.catalogue.users)
    assert list(events.items.ids) == sorted(events.catalogue.items)
    assert events.ids.items is events.items
    again = readers.Ratings.of(
        events.folder,
        events.schema,
        events.catalogue,
        [events.userid(place) for place in range(len(events))],
        [events.itemid(place) for place in range(len(events))],
        events.code,
        events.ts,
    )
    assert np.array_equal(again.user, events.user) and np.array_equal(again.item, events.item)


def test_without_some_users_all_others_keep_their_numbers(events: readers.Ratings) -> None:
    gone = {events.userid(0), events.userid(len(events) - 1)}
    left = events.without(gone)
    kept = [event for event in events.events(np.arange(len(events))) if event.userid not in gone]
    assert list(left.events(np.arange(len(left)))) == kept
    assert not gone & left.catalogue.users.keys()
    assert left.users.size == events.users.size
    assert all(left.users.number(userid) == events.users.number(userid) for userid in left.catalogue.users)


VALUES = """
name = "Values"
[files.e]
path = "e.csv"
format = "csv"
[[events]]
file = "e"
user = "u"
item = "i"
time = "t"
type = "a"
value = "v"
[feedback.watch]
value = { minimum = 0 }
positive = "value >= 60"
negative = "value < 5"
[feedback.view]
[feedback.stars]
value = { minimum = 1, maximum = 3, whole = true }
positive = "value == 3"
identity = "replace"
[items]
ids = "integer"
[users]
ids = "string"
"""


def values(folder: Path, *lines: str) -> tuple[DataSet, Settings]:
    (folder / "e.csv").write_text("".join(f"{line}\n" for line in ("u,i,t,a,v", *lines)))
    (folder / "my.toml").write_text(VALUES)
    return parse(VALUES), load(state_dir=folder, data={"folder": str(folder), "dataset": str(folder / "my.toml")})


def test_values_that_codes_do_not_tell_are_kept(tmp_path: Path) -> None:
    dataset, settings = values(
        tmp_path,
        "b,2,10,watch,61.5",
        "a,1,11,stars,3",
        "a,2,12,view,",
        "a,2,13,watch,1",
        "c,3,14,watch,30",
        "c,1,9,stars,1",
    )
    events = readers.load(settings)
    codes = events.schema.codes
    assert list(events.events(np.arange(6))) == [
        Event("b", 2, codes.code("watch", 61.5), 10, 61.5),
        Event("a", 1, codes.code("stars", 3.0), 11),
        Event("a", 2, codes.code("view", None), 12),
        Event("a", 2, codes.code("watch", 1.0), 13, 1.0),
        Event("c", 3, codes.code("watch", 30.0), 14, 30.0),
        Event("c", 1, codes.code("stars", 1.0), 9),
    ]
    assert events.positive.tolist() == [True, True, False, False, False, False]
    assert [
        events.schema.events.decode(*events.schema.events.encode(event)) for event in events.events(np.arange(6))
    ] == [*events.events(np.arange(6))]
    code, value = from_tables.codes_of(dataset, codes, read(dataset, tmp_path))
    assert code.tolist() == events.code.tolist()
    np.testing.assert_array_equal(value, events.value)


def test_an_event_that_is_in_the_files_twice_counts_once(tmp_path: Path) -> None:
    _, settings = values(tmp_path, "b,2,10,view,", "a,1,11,stars,3", "b,2,10,view,", "b,2,10.5,view,", "b,2,11,view,")
    events = readers.load(settings)
    assert [(event.userid, event.ts) for event in events.events(np.arange(len(events)))] == [
        ("b", 10),
        ("a", 11),
        ("b", 11),
    ]


def test_missing_files_of_another_data_set_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"has no u\.data, u\.user, u\.item; set REELSTREAM_DATA__FOLDER .*MovieLens-100K"
    ):
        readers.load(load(data={"folder": str(tmp_path), "dataset": "movielens-100k"}, state_dir=tmp_path))


AGES = SCHEMA.user_attributes[1].values


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
        users.append((int(userid), "FM".index(gender), AGES.index(age), int(occupation)))
    return ratings, items, users


def assert_read_as_before(ratings: readers.Ratings) -> None:
    lines, items, users = reference(ratings.folder)
    ids = (np.array(numbering.ids, dtype=np.int64) for numbering in (ratings.users, ratings.items))
    userid, itemid = (of[numbers - 1] for of, numbers in zip(ids, (ratings.user, ratings.item), strict=True))
    assert np.array_equal(np.column_stack((userid, itemid, ratings.code, ratings.ts)), np.array(lines))
    assert np.isnan(ratings.value).all()
    assert [(each.itemid, each.title, *each.values[:2]) for each in ratings.catalogue.items.values()] == items
    assert [(user.userid, *user.codes) for user in ratings.catalogue.users.values()] == users
    content = b"".join((ratings.folder / name).read_bytes() for name in ("ratings.dat", "users.dat", "movies.dat"))
    assert readers.data_hash(ratings) == hashlib.sha256(content).hexdigest()


def test_generated_data_is_read_as_line_by_line(ratings: readers.Ratings) -> None:
    assert_read_as_before(ratings)


@pytest.mark.ml1m
def test_movielens_1m_is_read_as_line_by_line(ml1m: readers.Ratings) -> None:
    assert len(ml1m) == 1_000_209
    assert_read_as_before(ml1m)
    assert int(ml1m.positive.sum()) == 575_281
