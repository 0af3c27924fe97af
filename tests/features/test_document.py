"""The documentation page of features."""

from __future__ import annotations

from pathlib import Path

from features import DENSE, ITEM_FEATURES, USER_FEATURES
from features.document import page

ROOT = Path(__file__).parents[2]


def test_the_page_of_features_says_what_the_declarations_say() -> None:
    assert (ROOT / "docs" / "features.md").read_text() == page(), "run `reelstream features > docs/features.md`"


def test_the_page_names_every_feature_and_every_field_of_a_row() -> None:
    text = page()
    for name in (*DENSE, "genre:…", *USER_FEATURES, *ITEM_FEATURES):
        assert f"| `{name}`" in text, name
