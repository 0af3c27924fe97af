"""Data sets of any description as typed columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import parse
from offline.data.tables import Categorical, MultiCategorical, Numeric, Tables, Texts, read
from offline.errors import DataError

NASTY = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters='",;\n'), max_size=8)
TEXTS = NASTY.filter(lambda text: text.strip("\r\n") == text)
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
TAGS = st.sampled_from(["red", "blue", "big", "ünusual"])
TIMES = st.integers(0, 2**32 - 1)

DESCRIPTION = """\
name = "Round trip"
[files.events]
path = "events"
format = "{format}"
[files.products]
path = "products"
format = "{format}"
[[events]]
file = "events"
user = "visitor"
item = "sku"
time = "when"
type = "action"
value = "price"
[feedback.view]
[feedback.purchase]
positive = "always"
[items]
ids = "string"
file = "products"
id = "sku"
complete = false
[items.attributes.name]
kind = "title"
column = "name"
[items.attributes.brand]
kind = "category"
column = "brand"
[items.attributes.weight]
kind = "number"
column = "weight"
quantiles = 3
[items.attributes.tags]
kind = "categories"
column = "tags"
separator = ";"
[users]
ids = "integer"
"""

Products = list[tuple[str, str | None, str | None, float | None, list[str]]]
Purchases = list[tuple[int, str, int, str, float | None]]

PRODUCTS = st.lists(
    st.tuples(
        IDS,
        st.none() | TEXTS.filter(bool),
        st.none() | TAGS,
        st.none() | st.floats(-1e6, 1e6),
        st.lists(TAGS, unique=True, max_size=3),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)
PURCHASES = st.lists(
    st.tuples(
        st.integers(1, 2**31 - 1), IDS, TIMES, st.sampled_from(["view", "purchase"]), st.none() | st.floats(0, 1e6)
    ),
    min_size=1,
    max_size=12,
)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path)


def write_json_lines(frame: pd.DataFrame, path: Path) -> None:
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "jsonl": write_json_lines,
}


@pytest.mark.parametrize("file_format", WRITERS)
@settings(max_examples=15)
@given(products=PRODUCTS, purchases=PURCHASES)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, file_format: str, products: Products, purchases: Purchases
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    joined = [(*row[:4], ";".join(row[4]) or None) for row in products]
    frame = pd.DataFrame(joined, columns=["sku", "name", "brand", "weight", "tags"])
    WRITERS[file_format](frame.astype({"weight": "float64"}), folder / "products")
    frame = pd.DataFrame(purchases, columns=["visitor", "sku", "when", "action", "price"])
    WRITERS[file_format](frame.astype({"price": "float64"}), folder / "events")
    tables = read(parse(DESCRIPTION.format(format=file_format)), folder)
    assert_same(tables, products, purchases)


def assert_same(tables: Tables, products: Products, purchases: Purchases) -> None:
    """Compare what was read with the rows that were written."""
    events = tables.events
    skus, visitors = tables.items.ids.to_pylist(), tables.users.ids.to_pylist()
    assert [visitors[place] for place in events.user] == [row[0] for row in purchases]
    assert [skus[place] for place in events.item] == [row[1] for row in purchases]
    assert (events.time // 1_000_000).tolist() == [row[2] for row in purchases]
    assert [tables.types[place] for place in events.type] == [row[3] for row in purchases]
    np.testing.assert_allclose(events.value, [np.nan if row[4] is None else row[4] for row in purchases])
    assert skus[: len(products)] == [row[0] for row in products]
    assert skus[len(products) :] == list(
        dict.fromkeys(row[1] for row in purchases if row[1] not in {*skus[: len(products)]})
    )
    n, further = len(products), len(skus) - len(products)
    name, brand, weight, tags = (tables.items.attributes[key] for key in ("name", "brand", "weight", "tags"))
    assert isinstance(name, Texts) and name.texts == (*[row[1] for row in products], *[None] * further)
    assert isinstance(brand, Categorical) and brand.values() == [*[row[2] for row in products], *[None] * further]
    assert isinstance(weight, Numeric) and weight.buckets is not None and np.isnan(weight.numbers[n:]).all()
    np.testing.assert_allclose(weight.numbers[:n], [np.nan if row[3] is None else row[3] for row in products])
    assert ((weight.buckets.codes == -1) == np.isnan(weight.numbers)).all()
    assert isinstance(tags, MultiCategorical)
    assert [{*values} for values in tags.values()] == [*[{*row[4]} for row in products], *[set()] * further]


EVENTS = "user,item,when,action,amount\nu1,i1,100,view,\nu2,i2,200,buy,3.5\n"
ITEMS = "id,label,maker,price,tags\ni1,Lamp (1999),acme,10,a|b\ni2,Chair,,20.5,\n"
TWO_FILES = """\
name = "Two files"
[files.events]
path = "events.csv"
format = "csv"
[files.items]
path = "items.csv"
format = "csv"
[[events]]
file = "events"
user = "user"
item = "item"
time = "when"
type = "action"
ignore = ["search"]
value = "amount"
[feedback.view]
[feedback.buy]
positive = "always"
value = { minimum = 0 }
[items]
ids = "string"
file = "items"
id = "id"
[items.attributes.label]
kind = "title"
column = "label"
[items.attributes.year]
kind = "number"
column = "label"
pattern = '.*\\((\\d+)\\)'
[items.attributes.decade]
kind = "number"
of = "year"
step = 10
term = true
[items.attributes.maker]
kind = "category"
column = "maker"
values = ["acme", "bolt"]
[items.attributes.price]
kind = "number"
column = "price"
minimum = 0
buckets = [15]
[items.attributes.tags]
kind = "categories"
column = "tags"
separator = "|"
[users]
ids = "string"
"""


def two_files(folder: Path, events: str = EVENTS, items: str = ITEMS, description: str = TWO_FILES) -> Tables:
    (folder / "events.csv").write_text(events)
    (folder / "items.csv").write_text(items)
    return read(parse(description), folder)


def changed(old: str, new: str) -> str:
    assert old in TWO_FILES
    return TWO_FILES.replace(old, new)


def test_attributes_are_derived_and_cut_into_buckets(tmp_path: Path) -> None:
    attributes: dict[str, Any] = two_files(tmp_path).items.attributes
    np.testing.assert_array_equal(attributes["year"].numbers, [1999, np.nan])
    assert attributes["decade"].buckets.values() == ["1990", None]
    assert attributes["price"].buckets.values() == ["below 15", "15 or more"]
    assert attributes["maker"].values() == ["acme", None]
    assert attributes["tags"].values() == [["a", "b"], []]


def test_values_are_learned_by_frequency_up_to_a_number(tmp_path: Path) -> None:
    items = "id,label,maker,price,tags\n" + "".join(f"i{n},x,{maker},1,\n" for n, maker in enumerate("bbaac"))
    description = changed('values = ["acme", "bolt"]', "most = 2")
    maker: Any = two_files(tmp_path, EVENTS.replace("i1", "i0"), items, description).items.attributes["maker"]
    assert maker.names == ("a", "b")
    assert maker.values() == ["b", "b", "a", "a", None]


def test_ignored_events_are_left_out_and_their_values_are_not_checked(tmp_path: Path) -> None:
    tables = two_files(tmp_path, EVENTS + ",,never,search,\nu3,i1,300,view,\n")
    assert tables.events.time.tolist() == [100_000_000, 200_000_000, 300_000_000]
    assert tables.users.ids.to_pylist() == ["u1", "u2", "u3"]


def test_types_may_have_other_names_in_the_data(tmp_path: Path) -> None:
    description = changed('ignore = ["search"]', 'names = { "Bought!" = "buy", "look" = "view" }')
    events = EVENTS.replace("buy", "Bought!") + "u3,i1,300,look,\nu3,i1,300,view,\n"
    tables = two_files(tmp_path, events, ITEMS, description)
    assert [tables.types[place] for place in tables.events.type] == ["view", "buy", "view", "view"]


@pytest.mark.parametrize(
    ("time_format", "text", "micros"),
    [
        ("s", "1714566600.25", 1714566600_250_000),
        ("ms", "1714566600250", 1714566600_250_000),
        ("us", "1714566600250000", 1714566600_250_000),
        ("ns", "1714566600250000000", 1714566600_250_000),
        ("iso", "2024-05-01T12:30:00.25Z", 1714566600_250_000),
        ("iso", "2024-05-01 14:30:00+02:00", 1714566600_000_000),
        ("iso", "2024-05-01 12:30:00", 1714566600_000_000),
        ("iso", "2024-05-01", 1714521600_000_000),
        ("%d.%m.%Y %H:%M", "01.05.2024 12:30", 1714566600_000_000),
    ],
)
def test_times_are_read_in_many_formats(tmp_path: Path, time_format: str, text: str, micros: int) -> None:
    description = changed('time = "when"', f'time = "when"\ntime_format = "{time_format}"')
    tables = two_files(tmp_path, f"user,item,when,action,amount\nu,i1,{text},view,\n", ITEMS, description)
    assert tables.events.time.tolist() == [micros]


def test_times_of_parquet_files_need_no_format(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(ITEMS)
    when = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    rows = {"user": ["u"], "item": ["i1"], "when": [when], "action": pd.Categorical(["view"]), "amount": [None]}
    pd.DataFrame(rows).to_parquet(tmp_path / "events.csv")
    description = changed('path = "events.csv"\nformat = "csv"', 'path = "events.csv"\nformat = "parquet"')
    assert read(parse(description), tmp_path).events.time.tolist() == [1714566600_000_000]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"events": EVENTS + "u3,i1,soon,view,\n"},
            "events.csv, line 4: when must be a number (s since 1970), not 'soon'",
        ),
        (
            {"events": EVENTS + "u3,i1,9999999999999,view,\n"},
            "events.csv, line 4: when must be a time from 1970 to 2106",
        ),
        ({"events": EVENTS + ",i1,300,view,\n"}, "events.csv, line 4: user must be an id of 1 to 128 characters"),
        ({"events": EVENTS + "u3,i9,300,view,\n"}, "events.csv, line 4: item i9 is not in items.csv; use files of one"),
        (
            {"events": EVENTS + "u3,i1,300,cart,\n"},
            "events.csv, line 4: action must be one of view, buy, or stand in `",
        ),
        (
            {"events": EVENTS + "u3,i1,300,buy,\n"},
            "events.csv, line 4: amount must be a number of at least 0, not noth",
        ),
        (
            {"events": EVENTS + "u3,i1,300,buy,-1\n"},
            "events.csv, line 4: amount must be a number of at least 0, not '-1'",
        ),
        ({"events": EVENTS + "u3,i1,300,buy,nan\n"}, "events.csv, line 4: amount must be a number of at least 0"),
        ({"events": EVENTS + "u3,i1,300\n"}, "events.csv, line 4: has 3 instead of 5 values"),
        ({"events": EVENTS + "u,i1,1,search,\nu3,i9,300,view,\n"}, "events.csv, line 5: item i9 is not in items.csv"),
        ({"events": ""}, "events.csv is empty"),
        ({"events": "user,item,when,action,amount\n"}, "events.csv is empty"),
        (
            {"events": EVENTS.replace("amount", "total")},
            "events.csv has no column 'amount'; its columns are user, item",
        ),
        ({"events": EVENTS.replace("amount", "user")}, "events.csv, line 1: names the column 'user' twice"),
        ({"items": ITEMS + "i1,Lamp,acme,1,\n"}, "items.csv, line 4: id i1 is on line 2 already; keep one"),
        ({"items": ITEMS + "i3,Lamp,core,1,\n"}, "items.csv, line 4: maker must be one of acme, bolt, not 'core'"),
        (
            {"items": ITEMS + "i3,Lamp,acme,cheap,\n"},
            "items.csv, line 4: price must be a number of at least 0, not 'cheap'",
        ),
        ({"items": ITEMS + "i3,Lamp,acme,-3,\n"}, "items.csv, line 4: price must be a number of at least 0, not '-3'"),
        ({"items": ITEMS + 'i3,"a\nb",acme,1,\ni4,Lamp,acme,-3,\n'}, "items.csv, line 6: price must be a number of at"),
        (
            {"description": changed('column = "maker"', 'column = "maker"\nrequired = true')},
            "items.csv, line 3: maker must be given, not nothing",
        ),
        (
            {"description": changed('of = "year"', 'of = "year"\nrequired = true')},
            "items.csv, line 3: year must be given, from which decade is read, not nothing",
        ),
        ({"description": changed('path = "items.csv"', 'path = "things.csv"')}, "{folder} has no things.csv; correct"),
        (
            {"description": changed('"items.csv"\nformat = "csv"', '"items.csv"\nformat = "parquet"')},
            "items.csv is not a Parquet file",
        ),
        (
            {"description": changed('"items.csv"\nformat = "csv"', '"items.csv"\nformat = "jsonl"')},
            "items.csv, line 1: is not a JSON object",
        ),
        (
            {
                "items": ITEMS.replace("Lamp", "Lämp"),
                "description": changed('"items.csv"\n', '"items.csv"\nencoding = "ascii"\n'),
            },
            "items.csv, line 2: is not in ascii; set `encoding` of the file",
        ),
        (
            {"description": changed('[items]\nids = "string"', '[items]\nids = "integer"')},
            "items.csv, line 2: id must be a whole number from 1 to 2147483647, not 'i1'",
        ),
    ],
)
def test_a_value_that_cannot_be_is_told_in_one_sentence(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(DataError) as told:
        two_files(tmp_path, **files)
    assert str(told.value).startswith(sentence.format(folder=tmp_path))
    assert "\n" not in str(told.value)


def test_items_that_only_events_name_are_kept_where_the_file_is_not_complete(tmp_path: Path) -> None:
    description = changed('id = "id"', 'id = "id"\ncomplete = false')
    items = two_files(tmp_path, EVENTS + "u3,i9,300,view,\n", ITEMS, description).items
    assert items.ids.to_pylist() == ["i1", "i2", "i9"]
    maker: Any = items.attributes["maker"]
    assert maker.values() == ["acme", None, None]


def test_reading_does_not_import_pandas() -> None:
    import subprocess
    import sys

    code = (
        "import sys, datasets; from pathlib import Path; from offline.data import tables, generate\n"
        "import tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    generate.make(Path(folder), 5, 60, 150, 1)\n"
        "    tables.read(datasets.read('movielens-1m'), Path(folder))\n"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
