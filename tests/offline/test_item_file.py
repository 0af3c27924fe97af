"""Files of items that come or change while the system serves: read whole, or refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import Item, ItemChange, Schema
from features.dataset import parse
from offline.data.item_file import ItemFile, read_items
from offline.errors import DataError
from tests import movielens, shop

VERSION = 7

ROWS = [
    {"sku": "p1", "name": "Lamp", "categories": ["kitchen", "toys"], "brand": "brand 3", "price": 9.5},
    {"sku": "p2", "name": None, "categories": [], "brand": None, "price": None, "description": "A text"},
]


def read(path: Path, schema: Schema = shop.SCHEMA) -> ItemFile:
    return read_items(schema, path, VERSION)


def write(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "more.jsonl"
    path.write_text("".join(json.dumps({"description": None} | row) + "\n" for row in rows))
    return path


def items_of(found: ItemFile) -> list[Item | None]:
    return [change.item for change in found.changes]


EXPECTED = [
    shop.item("p1", "Lamp", (1, 2), 3, 9.5),
    shop.item("p2", "", (), -1, None, "A text"),
]


def test_each_row_is_a_change_of_its_item_with_all_its_attributes(tmp_path: Path) -> None:
    found = read(write(tmp_path, *ROWS))
    assert items_of(found) == EXPECTED
    assert [(change.itemid, change.version) for change in found.changes] == [("p1", VERSION), ("p2", VERSION)]
    assert found.unknown == {}


def test_a_change_of_a_file_is_the_one_that_its_record_stands_for(tmp_path: Path) -> None:
    events = shop.SCHEMA.events
    for change in read(write(tmp_path, *ROWS)).changes:
        assert isinstance(change, ItemChange)
        assert events.decode(*events.encode(change)) == change


def test_parquet_and_csv_are_read_as_json_lines_are(tmp_path: Path) -> None:
    table = {name: [row.get(name) for row in ROWS] for name in ("sku", "name", "categories", "brand", "price")}
    pq.write_table(pa.table({**table, "description": [None, "A text"]}), tmp_path / "more.parquet")
    assert items_of(read(tmp_path / "more.parquet")) == EXPECTED
    text = shop.DESCRIPTION.replace('column = "categories"', 'column = "categories"\nseparator = "|"')
    separated = Schema(parse(text), shop.SCHEMA.learned)
    lines = ["sku,name,categories,brand,price,description", "p1,Lamp,kitchen|toys,brand 3,9.5,", "p2,,,,,A text"]
    (tmp_path / "more.csv").write_text("\n".join(lines))
    assert items_of(read(tmp_path / "more.csv", separated)) == EXPECTED
    (tmp_path / "more.tsv").write_text("\n".join(lines).replace(",", "\t"))
    assert items_of(read(tmp_path / "more.tsv", separated)) == EXPECTED


def test_a_file_in_the_format_of_the_description_has_its_separator_and_derived_attributes(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_text("9001::New Film (1987)::Drama|War\n", encoding="latin-1")
    (item,) = items_of(read(tmp_path / "movies.dat", movielens.SCHEMA))
    genres = tuple(movielens.GENRES.index(name) for name in ("Drama", "War"))
    assert item == movielens.item(9001, "New Film", 1987, genres)


def test_a_value_that_the_schema_does_not_know_is_missing_and_told(tmp_path: Path) -> None:
    found = read(write(tmp_path, ROWS[0] | {"brand": "Unheard", "categories": ["toys", "odd", "even"]}))
    assert items_of(found) == [shop.item("p1", "Lamp", (2,), -1, 9.5)]
    assert found.unknown == {"brand": ["Unheard"], "categories": ["even", "odd"]}


def test_more_values_than_a_description_learns_are_all_looked_up(tmp_path: Path) -> None:
    text = shop.DESCRIPTION.replace('column = "brand"', 'column = "brand"\nmost = 2')
    schema = Schema(parse(text), shop.SCHEMA.learned)
    rows = [ROWS[0] | {"sku": f"p{number}", "brand": f"brand {number}"} for number in range(20)]
    brands = [item.values[1] for item in items_of(read(write(tmp_path, *rows), schema)) if item]
    assert brands == list(range(20))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sku": "p1"}, r"more\.jsonl, line 3: sku p1 is on line 1 already; keep one"),
        ({"sku": ""}, r"more\.jsonl, line 3: sku must be an id of 1 to 128 characters"),
        ({"sku": "p3", "price": "dear"}, r"more\.jsonl, line 3: price must be a.*number.*, not 'dear'"),
    ],
)
def test_a_row_that_is_wrong_is_named_with_its_line(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, *ROWS, ROWS[0] | row))


def test_a_file_without_a_column_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    path.write_text('{"sku": "p1", "name": "Lamp"}\n')
    with pytest.raises(DataError, match=r"more\.jsonl has no column '.*'; its columns are name, sku"):
        read(path)
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        read(tmp_path / "none.csv")


def test_a_data_set_without_a_file_of_items_says_so(tmp_path: Path) -> None:
    text = shop.DESCRIPTION[: shop.DESCRIPTION.index("[items]")]
    schema = Schema(parse(f'{text}[items]\nids = "string"\n[users]\nids = "string"\n'))
    with pytest.raises(DataError, match="names no file of items"):
        read(write(tmp_path, *ROWS), schema)
