"""`context`: further events on top of a stored profile, for one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.context import with_context
from api.data_set import DataSetApi
from api.messages import RequestError, parse
from api.session import session_profile
from features import Event, Id, Item, Profile, Schema, Seen
from features.seen import hidden
from tests import movielens, shop
from tests.shop import CART, PURCHASE, VIEW

PRODUCTS: dict[Id, Item] = {itemid: shop.item(itemid, categories=(0,)) for itemid in ("i1", "i2", "i3", "i4")}
FILMS: dict[Id, Item] = {itemid: movielens.item(itemid, genres=(itemid % 3,)) for itemid in range(1, 9)}


@dataclass(frozen=True)
class Of:
    """A data set with its items."""

    data_set: DataSetApi
    items: dict[Id, Item]

    @property
    def schema(self) -> Schema:
        return self.data_set.schema


SHOP, CINEMA = Of(DataSetApi(shop.SCHEMA), PRODUCTS), Of(DataSetApi(movielens.SCHEMA), FILMS)


def stored(of: Of, events: Sequence[Event]) -> tuple[Profile, dict[Id, Seen]]:
    return session_profile(of.schema, events, of.items)


def overlaid(of: Of, events: Sequence[Event], *context: dict[str, Any]) -> tuple[Profile, dict[Id, bool]]:
    """A profile of some events with a context, and what is hidden."""
    profile, seen = stored(of, events)
    before = profile.copy()
    userid: Id = 1 if of is CINEMA else "u"
    request = parse(of.data_set.requests.recommendation, {"userid": userid, "context": list(context)}, 1000)
    hides = {itemid: hidden(of.schema.codes, rated) for itemid, rated in seen.items()}
    made = with_context(of.data_set, of.items, profile, hides, request.context or [], lambda: seen)
    assert profile == before, "what is stored stays as it is"
    return made


def test_entries_come_after_all_that_is_stored_in_their_order() -> None:
    events = [Event("", "i1", VIEW, 100), Event("", "i2", CART, 200)]
    profile, _ = overlaid(SHOP, events, {"itemid": "i3", "event": "view"}, {"itemid": "i4"})
    assert profile.recent == [(100, "i1", VIEW), (200, "i2", CART), (201, "i3", VIEW), (202, "i4", PURCHASE)]
    assert (profile.n, profile.likes, profile.last_ts) == (4, 2, 202)


def test_an_entry_with_a_time_takes_its_place_among_what_is_stored() -> None:
    events = [Event("", "i1", VIEW, 100), Event("", "i2", VIEW, 200)]
    profile, _ = overlaid(SHOP, events, {"itemid": "i3", "event": "view", "ts": 150})
    assert [itemid for _, itemid, _ in profile.recent] == ["i1", "i3", "i2"]


def test_what_the_context_hides_is_hidden_and_what_was_hidden_stays_so() -> None:
    events = [Event("", "i1", PURCHASE, 100), Event("", "i2", VIEW, 110)]
    context = [
        {"itemid": "i2", "event": "purchase"},
        {"itemid": "i3", "event": "view"},
        {"itemid": "i1", "event": "view"},
    ]
    _, hides = overlaid(SHOP, events, *context)
    assert hides == {"i1": True, "i2": True, "i3": False}


def test_a_film_that_is_rated_again_counts_once() -> None:
    events = [Event(0, 1, 5, 100), Event(0, 2, 4, 110)]
    profile, hides = overlaid(CINEMA, events, {"itemid": 1, "rating": 1})
    assert (profile.n, profile.likes, profile.recent) == (2, 1, [(110, 2, 4), (111, 1, 1)])
    assert hides == {1: True, 2: True}


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5)), max_size=6),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5)), min_size=1, max_size=6),
)
def test_a_context_gives_the_profile_that_the_same_events_give_once_they_are_stored(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    events = [Event(0, itemid, rating, 100 + ts) for ts, (itemid, rating) in enumerate(before)]
    profile, hides = overlaid(CINEMA, events, *({"itemid": itemid, "rating": rating} for itemid, rating in after))
    last = max((event.ts for event in events), default=0)
    added = [Event(0, itemid, rating, last + 1 + at) for at, (itemid, rating) in enumerate(after)]
    expected, seen = stored(CINEMA, [*events, *added])
    assert profile == expected
    assert {*hides} == {*seen} and all(hides.values())


def test_the_seen_filter_is_read_only_where_an_item_is_met_again() -> None:
    profile, _ = stored(SHOP, [Event("", "i1", VIEW, 100)])
    request = parse(
        SHOP.data_set.requests.recommendation, {"userid": "u", "context": [{"itemid": "i2", "event": "view"}]}
    )

    def read() -> dict[Id, Seen]:
        raise AssertionError("nothing of it is needed")

    with_context(SHOP.data_set, SHOP.items, profile, {"i1": False}, request.context or [], read)


def test_an_entry_that_breaks_a_rule_is_named() -> None:
    with pytest.raises(RequestError, match=r"^context\.1: value must be absent"):
        overlaid(SHOP, [], {"itemid": "i1"}, {"itemid": "i1", "event": "view", "value": 5})
