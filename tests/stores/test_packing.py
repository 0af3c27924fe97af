"""The stored form of profiles, seen filters, users and items, byte by byte, for films and for goods."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import partial
from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import (
    Event,
    Id,
    Item,
    ItemCounter,
    Layer,
    Learned,
    LearnedAttribute,
    Profile,
    Recent,
    Schema,
    Seen,
    User,
    fold,
)
from features.dataset import parse
from features.layer import Changed
from features.stored import VersionError
from features.version import ROWS_OF_EVENTS, STATE_LAYOUT
from stores import OtherVersion, Unreadable
from stores.redis.packed_changes import Waiting, pack_changed, pack_waiting, unpack_changed, unpack_waiting
from stores.redis.packing import (
    pack_catalogue,
    pack_counter,
    pack_others,
    pack_profile,
    pack_seen,
    pack_user,
    unpack_catalogue,
    unpack_earlier_profile,
    unpack_others,
    unpack_profile,
    unpack_seen,
    unpack_user,
    user_struct,
)
from tests import movielens, shop

FILM_FAN = replace(movielens.SCHEMA.profile(7), version=2, n=2, likes=1, first_ts=1, last_ts=9)
FILM_FAN.recent += [(1, 1, 5), (9, 2, 1)]
for tally, place, n in ((0, 3, 2), (1, 3, 1), (2, 8, 2), (3, 8, 1)):
    FILM_FAN.tallies[tally][place] = n
FILM_FAN.weights = [{3: -(1 << 63), 17: 1 << 64}, {8: 5}]


def folded(schema: Schema, userid: Id, items: list[Item], code: int) -> Profile:
    profile = schema.profile(userid)
    for ts, item in enumerate(items, 1):
        fold(schema.codes, profile, None, Event(userid, item.itemid, code, ts), {item.itemid: item})
    return profile


SHOPPER = folded(shop.SCHEMA, "ü:1", [shop.item("i{9}", "", (0, 2), 79, 12.5), shop.item("i 7")], shop.CART)


TALLIES = (
    "070202010109dc0012000000020000000000000000000000000000dc00120000000100000000000000000000000000009a0000000000000000"
    "02009a00000000000000000100"
)
ROWS, COLUMNS = "929301010593090201", "93920108920102c4020501"
"""The events 5 of item 1 at 1 and 1 of item 2 at 9: a row each, as in the layout before, and in columns."""


def test_a_profile_is_stored_with_its_weights_before_its_events() -> None:
    weights = "9403d3800000000000000011c409010000000000000000920805"
    assert pack_profile(FILM_FAN).hex() == f"9d{TALLIES}{weights}{COLUMNS}"
    rows, names = bytes.fromhex(f"9d{TALLIES}{weights}{ROWS}"), movielens.SCHEMA.profile_fields
    assert unpack_earlier_profile(movielens.SCHEMA, rows, names, ROWS_OF_EVENTS) == FILM_FAN
    with pytest.raises(Unreadable):
        unpack_profile(movielens.SCHEMA, rows)
    with pytest.raises(Unreadable):
        unpack_earlier_profile(movielens.SCHEMA, pack_profile(FILM_FAN), names, ROWS_OF_EVENTS)


def test_the_rest_of_what_is_stored_of_movielens_is_what_earlier_releases_stored() -> None:
    earlier = bytes.fromhex(f"9b{TALLIES}{ROWS}")
    fields = [name for name in movielens.SCHEMA.profile_fields if name not in movielens.SCHEMA.weight_fields]
    without_weights = replace(FILM_FAN, weights=[{}, {}])
    assert unpack_earlier_profile(movielens.SCHEMA, earlier, fields, ROWS_OF_EVENTS) == without_weights
    assert pack_seen(((978300760, 5),)).hex() == "3a4faf5805"
    assert pack_user(movielens.SCHEMA, movielens.user(7, 1, -1, 20)).hex() == "01ff14"
    assert pack_counter(ItemCounter(2, 1, 978300760, {1617: [2, 1]})).hex() == "940201ce3a4faf589193cd06510201"
    assert pack_others({1: (5, 3)}).hex() == "82ae736368656d615f76657273696f6e01a4726f77739193010503"


@pytest.mark.parametrize(("schema", "profile"), [(movielens.SCHEMA, FILM_FAN), (shop.SCHEMA, SHOPPER)])
def test_a_profile_reads_back_as_it_was(schema: Schema, profile: Profile) -> None:
    assert unpack_profile(schema, pack_profile(profile)) == profile
    assert unpack_profile(schema, pack_profile(schema.profile(profile.userid))) == schema.profile(profile.userid)


WEIGHTS = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from([-(1 << 63), -(1 << 63) - 1, (1 << 64) - 1, 1 << 64, 1 << 50_000])
)


@given(st.dictionaries(st.integers(0, 79), WEIGHTS.filter(bool), max_size=9))
def test_weights_of_any_length_read_back_as_they_were(weights: dict[int, int]) -> None:
    profile = replace(SHOPPER, weights=[{}, weights, {0: -1}])
    packed = pack_profile(profile)
    assert unpack_profile(shop.SCHEMA, packed) == profile
    assert pack_profile(unpack_profile(shop.SCHEMA, packed)) == packed
    again = replace(profile, weights=[{}, dict(reversed(weights.items())), {0: -1}])
    assert pack_profile(again) == packed, "whatever the order in which they came"


def changed(profile: Profile, place: int, value: Any) -> bytes:
    values = msgpack.unpackb(pack_profile(profile))
    values[place] = value
    return cast(bytes, msgpack.packb(values))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 7),
        (1, -1),
        (2, "2"),
        (6, [0, 0]),
        (6, [0, 0, -1]),
        (8, [0] * 3),
        (12, 5),
        (12, [0]),
        (12, [0, 0]),
        (12, [0, 1.5]),
        (12, [0, "1"]),
        (12, [3, 1]),
        (12, [-1, 1]),
        (12, ["0", 1]),
        (12, [1, 1, 0, 1]),
        (12, [0, 1, 0, 1]),
        (12, [0, b""]),
        (12, [0, b"\1"]),
        (12, [0, b"\0\1" + b"\0" * 8]),
        (-1, [[1], [9], b"\2"]),
        (-1, [[1], ["i"], b"\4"]),
        (-1, [[1], ["i"], b"\0"]),
        (-1, [["1"], ["i"], b"\2"]),
        (-1, [[1.5], ["i"], b"\2"]),
        (-1, [[5, -6], ["i", "i"], b"\2\2"]),
        (-1, [[1] * 101, ["i"] * 101, b"\2" * 101]),
        (-1, [[1], ["i"], b"\2\2"]),
        (-1, [[1], ["i"], [2]]),
        (-1, [[1], ["i"], "\2"]),
        (-1, [[1], ["i"]]),
        (-1, [[1, "i", 2]]),
        (-1, 5),
    ],
)
def test_a_damaged_profile_is_found(place: int, value: Any) -> None:
    with pytest.raises(Unreadable):
        unpack_profile(shop.SCHEMA, changed(SHOPPER, place, value))


def test_a_profile_of_one_data_set_is_not_read_as_that_of_another() -> None:
    for schema, other in ((movielens.SCHEMA, SHOPPER), (shop.SCHEMA, FILM_FAN)):
        with pytest.raises(Unreadable, match="other fields"):
            unpack_profile(schema, pack_profile(other))
    integers = changed(SHOPPER, 0, 7)
    with pytest.raises(Unreadable):
        unpack_profile(shop.SCHEMA, integers)


def test_a_profile_of_other_counts_is_read_by_the_names_of_its_fields() -> None:
    names = ["recent", "unheard_of", "userid", "brand_n", "n"]
    stored = msgpack.packb([SHOPPER.recent, {}, "ü:1", SHOPPER.tallies[2], 2])
    found = unpack_earlier_profile(shop.SCHEMA, stored, names, ROWS_OF_EVENTS)
    assert (found.userid, found.n, found.likes, found.recent) == ("ü:1", 2, 0, SHOPPER.recent)
    empty = shop.SCHEMA.profile("ü:1").tallies
    assert found.tallies == [*empty[:2], SHOPPER.tallies[2], *empty[3:]]
    assert found.weights == [{}, {}, {}]
    for without in ("recent", "userid"):
        left = [place for place, name in enumerate(names) if name != without]
        with pytest.raises(Unreadable):
            values = msgpack.unpackb(stored)
            packed = msgpack.packb([values[place] for place in left])
            unpack_earlier_profile(shop.SCHEMA, packed, [names[place] for place in left], ROWS_OF_EVENTS)


SEENS: list[Seen] = [
    ((5, shop.VIEW),),
    ((5, shop.VIEW), (4, shop.PURCHASE)),
    ((2**32 - 1, shop.VIEW), (0, shop.CART), (4, shop.PURCHASE)),
]


@pytest.mark.parametrize("seen", SEENS)
def test_an_entry_of_a_seen_filter_takes_five_bytes_for_each_type(seen: Seen) -> None:
    assert len(pack_seen(seen)) == 5 * len(seen)
    assert unpack_seen(shop.SCHEMA.codes, pack_seen(seen)) == seen


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\0\0\0\1",
        b"\0\0\0\1\2\3",
        pack_seen(((1, 4),)),
        pack_seen(((1, 0),)),
        pack_seen(((1, shop.VIEW), (2, shop.VIEW))),
        pack_seen(((1, shop.CART), (2, shop.VIEW))),
    ],
)
def test_a_damaged_entry_of_a_seen_filter_is_found(packed: bytes) -> None:
    with pytest.raises(Unreadable):
        unpack_seen(shop.SCHEMA.codes, packed)


def with_segments(segments: int) -> Schema:
    text = shop.DESCRIPTION.replace('values = ["new", "regular"]', "")
    learned = LearnedAttribute(values=tuple(f"segment {number}" for number in range(segments)))
    return Schema(parse(text), Learned(items=shop.SCHEMA.learned.items, users={"segment": learned}))


@pytest.mark.parametrize(("segments", "size"), [(2, 1), (127, 1), (128, 2), (1000, 2)])
def test_a_code_of_a_user_takes_two_bytes_where_there_are_more_values_than_one_holds(segments: int, size: int) -> None:
    schema = with_segments(segments)
    assert user_struct(schema).size == size
    for code in (-1, 0, segments - 1):
        user = schema.user("u", (code,))
        assert unpack_user(schema, "u", pack_user(schema, user)) == user
    with pytest.raises(Unreadable):
        unpack_user(schema, "u", b"\0" * (size + 1))
    with pytest.raises(Unreadable):
        unpack_user(schema, "u", struct.pack(">b" if size == 1 else ">h", -2))


def test_of_a_user_of_whom_nothing_is_stored_nothing_is_known() -> None:
    assert unpack_user(shop.SCHEMA, "u", None) == User("u", (-1,))
    assert unpack_user(movielens.SCHEMA, 7, None) == User(7, (-1, -1, -1))


def test_users_without_attributes_are_stored_as_known() -> None:
    schema = Schema(parse(shop.DESCRIPTION.partition("[users.attributes.segment]")[0]))
    assert pack_user(schema, schema.user("u")) == b""
    assert unpack_user(schema, "u", b"") == User("u", ())


GOODS = [
    shop.item("a", "Träger", (0, 2), 79, 12.5, "long text"),
    shop.item("b", "", (), -1, None, None),
    shop.item("c:{}", "C", (1,), 0, 0.0, ""),
]


def test_items_read_back_with_all_kinds_of_values() -> None:
    found = unpack_catalogue(shop.SCHEMA, pack_catalogue(GOODS))
    assert found == {item.itemid: item for item in GOODS}
    assert [item.terms for item in found.values()] == [item.terms for item in GOODS]
    assert [item.tally for item in found.values()] == [item.tally for item in GOODS]


def test_the_catalogue_of_earlier_releases_is_read() -> None:
    film = movielens.item(1, "One", 1994, (0, 3))
    rows = [(1, "One", 1994, (0, 3))]
    for stored in (rows, {"schema_version": 1, "rows": rows}):
        assert unpack_catalogue(movielens.SCHEMA, msgpack.packb(stored)) == {1: film}
    assert unpack_catalogue(movielens.SCHEMA, pack_catalogue([film])) == {1: film}
    with pytest.raises(VersionError, match="version 3"):
        unpack_catalogue(movielens.SCHEMA, msgpack.packb({"schema_version": 3, "rows": rows}))


def test_counters_of_other_shards_read_back_with_ids_of_either_kind() -> None:
    of_either: list[dict[Id, tuple[int, int]]] = [{1: (5, 3)}, {"a": (5, 3), "ü": (1, 0)}]
    for counters in of_either:
        assert unpack_others(pack_others(counters)) == counters


COUNTED: dict[Recent, int] = {(5, "i{9}", shop.VIEW): 2**63 - 1, (1, "ü", shop.PURCHASE): 1}


def test_a_profile_says_what_its_events_were_counted_under_only_where_that_is_not_as_published() -> None:
    under = replace(SHOPPER, counted=COUNTED)
    assert unpack_profile(shop.SCHEMA, pack_profile(under)) == under
    assert len(msgpack.unpackb(pack_profile(under))) == len(msgpack.unpackb(pack_profile(SHOPPER))) + 1
    films = replace(FILM_FAN, counted={(1, 1, 5): 7})
    assert unpack_profile(movielens.SCHEMA, pack_profile(films)) == films
    names = [*shop.SCHEMA.profile_fields]
    assert unpack_earlier_profile(shop.SCHEMA, pack_profile(under), names, STATE_LAYOUT) == under


@pytest.mark.parametrize(
    "counted",
    [
        [],
        7,
        [[1, "i", 2]],
        [[1, "i", 2, 0]],
        [[1, "i", 2, -1]],
        [[1, "i", 2, 1.5]],
        [[1, "i", 9, 5]],
        [[1, 7, 2, 5]],
        [["1", "i", 2, 5]],
        [[1, "i", 2, 5], [1, "i", 2, 6]],
    ],
)
def test_a_profile_with_a_damaged_end_is_found(counted: Any) -> None:
    values = [*msgpack.unpackb(pack_profile(SHOPPER)), counted]
    with pytest.raises(Unreadable):
        unpack_profile(shop.SCHEMA, msgpack.packb(values))
    with pytest.raises(Unreadable):
        unpack_profile(shop.SCHEMA, msgpack.packb([*values, []]))


def changed_item() -> Changed:
    """An item that was changed twice and withdrawn."""
    layer, events = Layer({}), shop.SCHEMA.events
    layer.apply(events.item_change("i 1", 3, {"title": "One", "categories": ["toys", "garden"], "price": 5}))
    layer.apply(events.item_change("i 1", 2**63 - 1, {"title": "Ü", "text": "long"}))
    assert layer.apply(events.withdrawal("i 1", 2**63 - 1)) is False
    return layer.changed["i 1"]


WITHDRAWN = Changed(9, "", None, True)


@pytest.mark.parametrize("changed", [changed_item(), WITHDRAWN], ids=["changed", "withdrawn"])
def test_a_changed_item_reads_back_as_it_was(changed: Changed) -> None:
    found = unpack_changed(shop.SCHEMA, "i 1", pack_changed(changed))
    assert found == changed
    assert [item.tally for item in found.counted.values()] == [item.tally for item in changed.counted.values()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "7"),
        ("order", 7),
        ("withdrawn", 1),
        ("content", [7, "{}"]),
        ("content", [7]),
        ("content", None),
        ("counted", [[5, "title"]]),
        ("counted", [["5", "title", [[], -1, None, None]]]),
        ("counted", [[5, 7, [[], -1, None, None]]]),
        ("counted", [[5, "title", [[]]]]),
        ("schema_version", None),
    ],
)
def test_a_damaged_change_of_an_item_is_found(name: str, value: Any) -> None:
    fields = msgpack.unpackb(pack_changed(changed_item()))
    del fields[name]
    for damaged in (fields, fields | {name: value}):
        with pytest.raises((Unreadable, OtherVersion)):
            unpack_changed(shop.SCHEMA, "i 1", msgpack.packb(damaged))


def test_events_that_wait_read_back_as_they_were() -> None:
    entries = [Waiting(5, 1.5, "ü".encode(), b"{}"), Waiting(2**40, 0.0, b"7", b"\xff")]
    assert unpack_waiting(pack_waiting(entries)) == entries
    for rows in ([[5, 1.5, b"7"]], [[5, 1.5, "7", b""]], [["5", 1.5, b"7", b""]], [[5, None, b"7", b""]], 7, None):
        with pytest.raises(Unreadable):
            unpack_waiting(msgpack.packb({"schema_version": 1, "rows": rows}))


@given(packed=st.binary(max_size=60))
def test_any_bytes_are_a_change_or_unreadable(packed: bytes) -> None:
    for unpack in (partial(unpack_changed, shop.SCHEMA, "i"), unpack_waiting):
        try:
            unpack(packed)
        except (Unreadable, OtherVersion) as error:
            assert "\n" not in str(error)
