"""Records of users and of items, which may have the same keys."""

from __future__ import annotations

import json

import pytest

from features import Id, Schema
from stores import Logged
from stores.kafka.record_owner import is_keyed_by, is_of_item
from tests import shop
from tests.movielens import SCHEMA, rated


@pytest.mark.parametrize(("schema", "both"), [(SCHEMA, 7), (shop.SCHEMA, "7")], ids=["films", "shop"])
def test_a_change_of_an_item_is_of_no_user_whatever_its_id(schema: Schema, both: Id) -> None:
    words = schema.events
    for change in (words.item_change(both, 1, {}), words.withdrawal(both, 2)):
        key, value = words.encode(change)
        assert key == b"7" and is_of_item(value) and not is_keyed_by(Logged(0, 0, key, value), b"7")
    key, value = words.encode(words.user_change(both, {}))
    assert not is_of_item(value) and is_keyed_by(Logged(0, 0, key, value), b"7")


@pytest.mark.parametrize(
    "fields",
    [
        {"schema_version": 3, "itemid": 7, "version": 1, "item": {}, "userid": 7},
        {"schema_version": 3, "itemid": 7, "version": 1, "withdrawn": True, "user": 7},
        {"schema_version": True, "itemid": 7, "version": 1, "withdrawn": True},
        {"schema_version": 4, "itemid": 7, "version": 1, "withdrawn": True},
        {"schema_version": 3, "item": {"itemid": 7}},
    ],
)
def test_any_other_record_is_the_users_whose_key_it_has(fields: dict[str, object]) -> None:
    record = Logged(0, 0, b"7", json.dumps(fields).encode())
    assert is_keyed_by(record, b"7")


@pytest.mark.parametrize("value", [None, b"", b"junk", b'"itemid" "schema_version"', b"[" * 100_000])
def test_what_is_no_json_is_of_no_item(value: bytes | None) -> None:
    assert not is_of_item(value)


def test_an_event_is_of_its_user() -> None:
    key, value = SCHEMA.events.encode(rated(7, 7, 5, 1))
    assert is_keyed_by(Logged(0, 0, key, value), b"7")
