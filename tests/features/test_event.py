"""The event as it stands in the log."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Event, EventError
from features.event import loads
from tests import shop
from tests.movielens import SCHEMA

decode, encode = SCHEMA.events.decode, SCHEMA.events.encode
GOOD = {"userid": 7, "itemid": 3, "rating": 4, "ts": 978300760}


@given(
    st.builds(
        Event,
        st.integers(1, 2**31 - 1),
        st.integers(1, 2**31 - 1),
        st.integers(1, 5),
        st.integers(0, 2**32 - 1),
    )
)
def test_an_encoded_event_decodes_to_itself(event: Event) -> None:
    assert decode(*encode(event)) == event


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"userid": None}, "userid must be a whole number"),
        ({"userid": True}, "userid must be a whole number"),
        ({"userid": "7"}, "userid must be a whole number"),
        ({"userid": 0}, "userid must be a whole number from 1"),
        ({"itemid": 2**31}, "itemid must be a whole number from 1 to 2147483647"),
        ({"itemid": 10**400}, "itemid must be a whole number"),
        ({"rating": 4.5}, "rating must be a whole number from 1 to 5"),
        ({"rating": 6}, "rating must be a whole number from 1 to 5"),
        ({"ts": -1}, "ts must be a whole number from 0"),
        ({"userid": 8}, "key is not the userid"),
        (
            {"schema_version": 4},
            "schema_version must be 1, 2 for an erasure, or 3 for a change; resend the event after an upgrade",
        ),
        ({"schema_version": 2}, "erase must be true in an event of the schema_version 2"),
        ({"schema_version": 2, "erase": 1}, "erase must be true"),
        ({"schema_version": 2, "erase": True, "userid": 8}, "key is not the userid"),
        ({"schema_version": 2, "erase": True, "userid": "7"}, "userid must be a whole number"),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused_with_the_rule(change: dict, reason: str) -> None:
    with pytest.raises(EventError, match=reason):
        decode(b"7", json.dumps(GOOD | change).encode())


@pytest.mark.parametrize("missing", list(GOOD))
def test_an_event_without_a_field_is_refused(missing: str) -> None:
    fields = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(EventError, match=f"{missing} is missing"):
        decode(b"7", json.dumps(fields).encode())


@pytest.mark.parametrize("key", [None, b"", b"07", b"8", b"\xff", b" 7"])
def test_a_key_that_is_not_the_userid_is_refused(key: bytes | None) -> None:
    with pytest.raises(EventError, match="key is not the userid"):
        decode(key, json.dumps(GOOD).encode())


@given(st.one_of(st.none(), st.binary(max_size=200)), st.one_of(st.none(), st.binary(max_size=400)))
def test_any_bytes_are_an_event_or_an_event_error(key: bytes | None, value: bytes | None) -> None:
    try:
        decode(key, value)
    except EventError as error:
        assert "\n" not in str(error)


def test_deep_nesting_is_an_event_error() -> None:
    with pytest.raises(EventError):
        decode(b"7", b"[" * 100_000)


def test_ratings_look_as_they_always_did() -> None:
    assert encode(Event(7, 3, 4, 978300760)) == (b"7", b'{"userid":7,"itemid":3,"rating":4,"ts":978300760}')


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=128)


@given(st.builds(Event, texts, texts, st.integers(1, 3), st.integers(0, 2**32 - 1)))
def test_an_event_of_a_shop_decodes_to_itself(event: Event) -> None:
    assert shop.SCHEMA.events.decode(*shop.SCHEMA.events.encode(event)) == event


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"userid": 7}, "userid must be a text of 1 to 128 characters without control characters"),
        ({"itemid": ""}, "itemid must be a text"),
        ({"itemid": "a" * 129}, "itemid must be a text"),
        ({"itemid": "a\nb"}, "itemid must be a text"),
        ({"event": "rent"}, "event must be one of view, cart, purchase"),
        ({"event": 1}, "event must be one of view, cart, purchase"),
        ({"value": 2}, "value must be absent, as events of the type view have no value"),
        ({"ts": 1.5}, "ts must be a whole number"),
    ],
)
def test_an_event_of_a_shop_that_breaks_a_rule_is_refused_with_the_rule(fields: dict, reason: str) -> None:
    good = {"userid": "u", "itemid": "i", "event": "view", "ts": 1}
    with pytest.raises(EventError, match=reason):
        shop.SCHEMA.events.parse(good | fields)


def test_an_event_with_a_value_may_be_spelt_out() -> None:
    spelt = {"userid": 7, "itemid": 3, "event": "rating", "value": 4, "ts": 978300760}
    assert SCHEMA.events.parse(spelt) == SCHEMA.events.parse(GOOD)
    with pytest.raises(EventError, match="value must be a whole number from 1 to 5"):
        SCHEMA.events.parse(spelt | {"value": 6})
    with pytest.raises(EventError, match="event must be one of rating"):
        SCHEMA.events.of(7, 3, "view", 1)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def told(function: Callable[[bytes], object], packed: bytes) -> str:
    try:
        return repr(function(packed))
    except ValueError:
        return "not JSON"


@given(st.dictionaries(st.text(), VALUES), st.sampled_from(ENCODINGS), st.booleans())
def test_a_value_is_read_as_the_standard_library_reads_it(value: dict, encoding: str, escaped: bool) -> None:
    packed = json.dumps(value, ensure_ascii=escaped).encode(encoding, "surrogatepass")
    assert told(loads, packed) == told(json.loads, packed)


@given(st.binary(max_size=12))
def test_bytes_are_no_json_where_the_standard_library_says_so(junk: bytes) -> None:
    for packed in (junk, b"{" + junk, b'{"a":' + junk + b"}"):
        assert told(loads, packed) == told(json.loads, packed)
