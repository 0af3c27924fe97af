"""The documentation page of features."""

from __future__ import annotations

from pathlib import Path

from features.document import page
from tests import shop
from tests.movielens import SCHEMA

ROOT = Path(__file__).parents[2]


def test_the_page_of_features_says_what_the_declarations_say() -> None:
    assert (ROOT / "docs" / "features.md").read_text() == page(SCHEMA), "run `reelstream features > docs/features.md`"


def test_the_page_names_every_feature_and_every_field_of_a_row() -> None:
    for schema, columns in ((SCHEMA, "genre:…"), (shop.SCHEMA, "category:…")):
        text = page(schema)
        fields = [field.name for field in (*schema.user_fields, *schema.item_fields)]
        for name in (*schema.dense_names, columns, *fields):
            assert f"| `{name}`" in text, name
