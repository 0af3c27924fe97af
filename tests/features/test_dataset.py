"""Descriptions of data sets: what they say, and what is said where one breaks a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

import datasets
from datasets import DataSetError
from features import Schema
from features.dataset import Condition, DescriptionError, parse
from features.dataset.feedback import ALWAYS, NEVER

SHOP = """\
name = "Shop"

[files.events]
path = "events.csv"
format = "csv"

[files.products]
path = "products.parquet"
format = "parquet"

[[events]]
file = "events"
user = "visitor"
item = "product"
time = "when"
time_format = "iso"
type = "action"
ignore = ["search"]

[feedback.view]
precedence = 0
hides = false
target = false

[feedback.purchase]
positive = "always"
weight = 3.0
precedence = 2

[items]
ids = "string"
file = "products"
id = "sku"

[items.attributes.brand]
kind = "category"
column = "brand"
term = true

[items.attributes.price]
kind = "number"
column = "price"
quantiles = 5

[users]
ids = "string"

[split]
kind = "time"
at = 2024-05-01T00:00:00Z
"""


def test_a_description_without_ratings_is_read() -> None:
    shop = parse(SHOP)
    assert list(shop.feedback) == ["view", "purchase"]
    assert shop.feedback["purchase"].positive == Condition(ALWAYS)
    assert shop.feedback["view"].positive == Condition(NEVER)
    assert shop.items.attributes["brand"].term
    assert shop.paths == ("events.csv", "products.parquet")


def test_both_descriptions_of_movielens_give_the_same_columns() -> None:
    one, other = Schema(datasets.read("movielens-1m")), Schema(datasets.read("movielens-100k"))
    assert one.dense_columns == other.dense_columns
    assert one.profile_fields == other.profile_fields


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('name = "Shop"', "name = ", "line 1: is not TOML: Invalid value"),
        ('name = "Shop"', 'nome = "Shop"', "name is missing"),
        (
            'name = "Shop"',
            'name = "Shop"\nterm_half_life_days = 0',
            "line 2: term_half_life_days must be greater than or",
        ),
        (
            'name = "Shop"',
            'name = "Shop"\nterm_half_life_days = 3651',
            "line 2: term_half_life_days must be less than or",
        ),
        (
            'name = "Shop"',
            'name = "Shop"\nterm_half_life_days = 1.5',
            "line 2: term_half_life_days must be a valid integer",
        ),
        ('format = "csv"', 'format = "xml"', "line 5: files.events.format must be 'csv', 'parquet' or 'jsonl'"),
        ('path = "events.csv"', 'path = "../a.csv"', "line 4: files.events.path must be a path inside the data folder"),
        ('path = "events.csv"', "", "line 3: files.events.path is missing"),
        ('path = "events.csv"', 'path = "products.parquet"', "line 8: files.products.path is 'products.parquet', as"),
        (
            'format = "csv"',
            'format = "csv"\nencoding = "latin-7z"',
            "line 6: files.events.encoding must be an encoding",
        ),
        ('format = "csv"', 'format = "csv"\nseparator = "::"', "line 3: files.events has a separator of more than one"),
        ('format = "csv"', 'format = "csv"\nheader = false', "line 3: files.events names its columns in `columns`"),
        ('format = "csv"', 'format = "csv"\nheader = 0', "line 6: files.events.header must be a valid boolean"),
        ('format = "parquet"', 'format = "parquet"\nheader = true', "line 7: files.products has 'header', which only"),
        (
            'file = "events"',
            'file = "event"',
            "line 12: events[0].file is 'event', which is not in `files` (events, pro",
        ),
        ('time_format = "iso"', 'time_format = "min"', "line 16: events[0].time_format must be 's', 'ms', 'us', 'ns'"),
        ('type = "action"', 'event = "view"', "line 11: events[0] has `ignore` or `names`, which"),
        ('type = "action"\nignore = ["search"]', 'event = "cart"', "line 17: events[0].event is 'cart', which `feed"),
        (
            '["search"]',
            '["search"]\nnames = { v = "views" }',
            "line 19: events[0].names.v is 'views', which `feedback`",
        ),
        ('["search"]', '["view"]', "line 18: events[0].ignore names 'view', which `feedback` declares"),
        ('positive = "always"', 'positive = "value > 0"', "line 25: feedback.purchase compares a value, and so needs"),
        ('positive = "always"', 'positive = "often"', "line 26: feedback.purchase.positive must be 'always', 'never'"),
        (
            'positive = "always"',
            'positive = "always"\nnegative = "always"',
            "line 25: feedback.purchase has events that",
        ),
        ('positive = "always"', "value = {}", "line 11: events[0] needs `value`, as events of the type 'purchase'"),
        (
            'positive = "always"',
            "target = true",
            "line 20: feedback.view needs to have positive events and be a target",
        ),
        ("weight = 3.0", "weight = -1", "line 27: feedback.purchase.weight must be greater than 0"),
        (
            "weight = 3.0",
            "value = { minimum = 2, maximum = 1 }",
            "line 27: feedback.purchase.value has a minimum above",
        ),
        (
            "weight = 3.0",
            "value = { minimum = 2 }",
            "line 11: events[0] needs `value`, as events of the type 'purchase'",
        ),
        ("[feedback.view]", "[feedback.View]", "line 20: feedback.View must be a name of lower-case letters"),
        ('ids = "string"\nfile', 'ids = "text"\nfile', "line 31: items.ids must be 'integer' or 'string'"),
        ('id = "sku"', "", "line 30: items needs `id`, the column with the id"),
        ('column = "brand"', 'of = "maker"', "line 37: items.attributes.brand.of is 'maker', which leads to no attri"),
        ('column = "brand"', 'of = "brand"', "line 37: items.attributes.brand.of is 'brand', which is derived from"),
        ('column = "brand"', "", "line 35: items.attributes.brand needs either `column` or `of`"),
        ('kind = "category"', 'kind = "text"', "line 38: items.attributes.brand.term needs an attribute with values"),
        ('kind = "category"', 'kind = "word"', "line 36: items.attributes.brand.kind must be one of 'category', 'cat"),
        ('kind = "category"', "", "line 35: items.attributes.brand needs `kind`"),
        ("quantiles = 5", "quantiles = 5\nstep = 2.0", "line 40: items.attributes.price needs at most one of"),
        ("quantiles = 5", "buckets = [2, 1]", "line 40: items.attributes.price needs buckets in ascending order"),
        (
            "quantiles = 5",
            'buckets = [1]\nvalues = ["a"]',
            "line 40: items.attributes.price names 1 values for 1 bounds",
        ),
        (
            "quantiles = 5",
            "pattern = '(a)(b)'",
            "line 43: items.attributes.price.pattern must have one group, and has 2",
        ),
        ("quantiles = 5", "pattern = '('", "line 43: items.attributes.price.pattern must be a regular expression"),
        ("quantiles = 5", "quantile = 5", "line 43: items.attributes.price.quantile is not a key of a description"),
        ('[users]\nids = "string"', '[users]\nids = "string"\nid = "x"', "line 45: users needs `file`, as it has"),
        (
            "[items.attributes.brand]",
            "[items.attributes.score]",
            "line 35: items.attributes.score has a name that",
        ),
        ("[feedback.view]", "[feedback.event]", "line 20: feedback.event has a name that events use themselves"),
        (
            "quantiles = 5",
            'quantiles = 5\nsingular = "brand"',
            "line 40: items.attributes.price has the singular 'brand', which brand has already; set another `singular`",
        ),
        (
            "[feedback.view]",
            '[feedback.view]\npositive = "value > 0"\nvalue = { minimum = 1, maximum = 300 }',
            "line 11: events[0] needs `value`",
        ),
        ("00:00:00Z", "00:00:00", "line 50: split.at must have timezone info"),
    ],
)
def test_a_broken_rule_is_told_in_one_sentence_with_its_line(old: str, new: str, sentence: str) -> None:
    assert SHOP.count(old) >= 1
    with pytest.raises(DescriptionError) as told:
        parse(SHOP.replace(old, new, 1))
    assert str(told.value).startswith(sentence)
    assert "\n" not in str(told.value)


def test_a_value_that_spans_lines_does_not_shift_the_lines_of_what_follows() -> None:
    text = SHOP.replace('["search"]', '[\n  "search",\n  """quoted\n[files.events]\n""",\n]')
    with pytest.raises(DescriptionError, match=r"^line 31: feedback\.purchase\.positive"):
        parse(text.replace('positive = "always"', 'positive = "often"'))


def test_a_description_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(
        DataSetError, match=r"no description .*lens\.toml; set REELSTREAM_DATA__DATASET .* movielens-1m"
    ):
        datasets.read("lens")


def test_the_error_of_a_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(SHOP.replace('kind = "category"', ""))
    with pytest.raises(DataSetError, match=r"^my\.toml, line 35: items\.attributes\.brand needs `kind`"):
        datasets.read(str(tmp_path / "my.toml"))
    (tmp_path / "my.toml").write_bytes(b"\xff")
    with pytest.raises(DataSetError, match="not a text file in UTF-8"):
        datasets.read(str(tmp_path / "my.toml"))
