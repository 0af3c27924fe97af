"""Words of `reelstream items put` as attributes."""

from __future__ import annotations

import pytest

from cli.items import attributes_of, path_of, unknown_in_words
from settings import SettingsError
from tests import shop


def test_words_become_values_of_their_kinds() -> None:
    words = ["title=Lamp = light", "categories=garden", "brand=7", "price=7.5", "text="]
    assert attributes_of(shop.SCHEMA, words) == {
        "title": "Lamp = light",
        "categories": ["garden"],
        "brand": "7",
        "price": 7.5,
        "text": "",
    }
    assert attributes_of(shop.SCHEMA, ['categories=["garden", "toys"]']) == {"categories": ["garden", "toys"]}
    assert attributes_of(shop.SCHEMA, ["price=null"]) == {"price": None}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("colour=red", r"'colour=red' must be NAME=VALUE .*one of categories, brand, price, text, title"),
        ("price", "'price' must be NAME=VALUE"),
        ("price=dear", "price must be a number, not 'dear'"),
    ],
)
def test_a_word_that_is_no_attribute_is_refused(word: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        attributes_of(shop.SCHEMA, [word])


def test_an_id_of_any_characters_is_one_part_of_the_path() -> None:
    assert path_of("a/b %2F") == "/items/a%2Fb%20%252F"


def test_unknown_values_are_named_up_to_a_few() -> None:
    assert unknown_in_words({}) == ""
    told = unknown_in_words({"brand": [f"b{number}" for number in range(7)], "size": ["XL"]})
    assert told == "; unknown, and so missing until the next reset: brand b0, b1, b2, b3, b4, ...; size XL"
