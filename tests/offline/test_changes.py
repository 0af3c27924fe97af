"""Changes of items and users among the events: each event counts under the attributes that it met."""

from __future__ import annotations

from collections.abc import Mapping

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import Erasure, Event, EventError, Id, ItemChange, LogRecord, UserChange, user_row
from features.profile import RECENT, lacks
from offline.data.history import State
from stores.redis.packing import pack_profile, unpack_profile
from tests import shop
from tests.obvious_log import ObviousLog

SCHEMA, FORM = shop.SCHEMA, shop.SCHEMA.events
CODES = SCHEMA.codes
CATALOGUE = shop.catalogue([shop.item(itemid, itemid, (place,), place) for place, itemid in enumerate("ab")], [])
USERS = ("u", "v")


def put(itemid: str, version: int, categories: list[str], price: float | None = None) -> ItemChange:
    return FORM.item_change(itemid, version, {"categories": categories, "price": price})


times = st.builds(
    lambda second, half_lives: second + half_lives * CODES.half_life_s,
    st.integers(0, 12),
    st.sampled_from([0, 0, 0, 1, 3]),
)
"""A few seconds, and later ones in other half-lives of the weights of terms."""

events = st.builds(shop.event, st.sampled_from(USERS), st.sampled_from("abz"), st.sampled_from([1, 2, 3, 3]), times)
changes = st.one_of(
    st.builds(
        put,
        st.sampled_from("abz"),
        st.integers(1, 6),
        st.lists(st.sampled_from(["garden", "kitchen", "toys"]), max_size=2, unique=True),
        st.sampled_from([None, 5.0, 15.0]),
    ),
    st.builds(FORM.withdrawal, st.sampled_from("abz"), st.integers(1, 6)),
)
records = st.one_of(
    events,
    events,
    events,
    changes,
    st.builds(Erasure, st.sampled_from(USERS)),
    st.builds(FORM.user_change, st.sampled_from(USERS), st.sampled_from([{}, {"segment": "new"}])),
)
logs = st.lists(records, max_size=60)


def folded(log: list[LogRecord], **settings: int) -> State:
    state = State(SCHEMA, CATALOGUE, **settings)
    for offset, record in enumerate(log):
        state.take(record, offset)
    return state


def ambiguous(log: list[LogRecord]) -> bool:
    """True if two views of one user, item and second may be counted under two revisions: they are one in a profile."""
    accumulated = [
        (record.userid, record.itemid, record.code, record.ts)
        for record in log
        if isinstance(record, Event) and not CODES.replaces[record.code]
    ]
    return len({*accumulated}) < len(accumulated)


def categories_of_last(obvious: ObviousLog, userid: Id, events: int) -> list[int]:
    """The last events of a user, by category."""
    by_time = sorted(obvious.of_user(userid), key=lambda each: (each.event.ts, each.event.itemid, each.event.code))
    return [sum(category in counted.item.values[0] for counted in by_time[-events:]) for category in range(3)]


@given(logs)
def test_every_event_counts_under_the_attributes_that_it_met(log: list[LogRecord]) -> None:
    state, obvious = folded(log), ObviousLog(SCHEMA, CATALOGUE.items, log)
    assert dict(state.layer) == obvious.items
    assert sorted(str(event) for events in state.waiting.values() for _, event in events) == sorted(
        map(str, obvious.waiting)
    )
    for userid in USERS:
        profile = state.profile(userid)
        assert profile.tallies == obvious.tallies(userid)
        assert profile.first_ts == obvious.first_ts.get(userid, 0)
        assert profile.weights == obvious.weights(userid)
        assert profile.n == len(obvious.of_user(userid))
        assert not lacks(state.layer, profile)
        if not ambiguous(log):
            row = user_row(SCHEMA, profile, state.user(userid), state.layer)
            assert row["category_n30"] == categories_of_last(obvious, userid, 30)


@given(logs)
def test_no_count_is_ever_below_0(log: list[LogRecord]) -> None:
    state = State(SCHEMA, CATALOGUE)
    for offset, record in enumerate(log):
        state.take(record, offset)
        for profile in state.profiles.values():
            assert min(profile.n, profile.likes, *(count for tally in profile.tallies for count in tally)) >= 0
    for counter in state.counters.values():
        assert min(counter.n, counter.likes) >= 0


@given(st.lists(changes, max_size=12), st.lists(events, max_size=30), st.randoms())
def test_shards_that_meet_concurrent_changes_in_other_orders_end_with_the_same_items(
    concurrent: list[ItemChange], of_users: list[Event], random
) -> None:
    shards = []
    for userid in USERS:
        log: list[LogRecord] = [*concurrent, *(event for event in of_users if event.userid == userid)]
        random.shuffle(log)
        shards.append(folded(log))
    one, other = [{itemid: changed.current for itemid, changed in shard.layer.changed.items()} for shard in shards]
    assert one == other
    assert dict(shards[0].layer) == dict(shards[1].layer)
    assert shards[0].layer.withdrawn == shards[1].layer.withdrawn
    assert shards[0].waiting.keys() | shards[1].waiting.keys() <= {"z"} - shards[0].layer.keys()


@given(logs)
def test_the_profile_of_a_user_who_never_met_a_changed_item_is_the_same_to_the_byte(log: list[LogRecord]) -> None:
    log = [record for record in log if not isinstance(record, Erasure | UserChange)]
    known = [record for record in log if not (isinstance(record, Event) and record.itemid == "z")]
    changed = {record.itemid for record in known if isinstance(record, ItemChange) and record.item is not None}
    met = {record.userid for record in known if isinstance(record, Event) and record.itemid in changed}
    unchanged = folded([record for record in known if isinstance(record, Event)])
    state = folded(known)
    for userid in {*USERS} - met:
        profile = state.profile(userid)
        packed = pack_profile(profile)
        assert packed == pack_profile(unchanged.profile(userid))
        assert len(msgpack.unpackb(packed)) == len(SCHEMA.profile_fields), "nothing follows what there was before"


@given(logs)
def test_a_profile_is_read_as_it_was_packed(log: list[LogRecord]) -> None:
    for profile in folded(log).profiles.values():
        assert unpack_profile(SCHEMA, pack_profile(profile)) == profile


def test_a_waiting_event_counts_once_when_its_item_arrives() -> None:
    bought = shop.event("u", "z", shop.PURCHASE, 100)
    state = State(SCHEMA, CATALOGUE)
    assert not state.take(bought, 3)
    assert not state.take(bought, 3), "it is delivered again"
    assert state.waiting == {"z": [(3, bought)]} and "u" not in state.profiles
    state.take(put("z", 1, ["toys"]), 4)
    assert state.waiting == {}
    assert state.profile("u").n == state.counter("z").n == 1
    assert state.profile("u").tallies[0] == [0, 0, 1]
    assert not state.take(bought, 3)
    state.take(put("z", 2, ["garden"]), 5)
    assert state.profile("u").n == state.counter("z").n == 1


def test_waiting_events_are_folded_in_the_order_of_the_log() -> None:
    first, second = shop.event("u", "z", shop.PURCHASE, 100), shop.event("v", "z", shop.PURCHASE, 90)
    state = folded([first, second])
    assert state.change_item(put("z", 1, ["toys"])) == [first, second]


def test_an_event_beyond_those_that_may_wait_is_refused() -> None:
    state = folded([shop.event("u", "z", shop.VIEW, 1), shop.event("u", "y", shop.VIEW, 1)], waiting_events=2)
    with pytest.raises(EventError, match=r"not in the catalogue, and catalogue\.waiting_events wait already"):
        state.take(shop.event("v", "z", shop.VIEW, 2), 2)
    state.take(put("z", 1, []), 3)
    state.take(shop.event("v", "x", shop.VIEW, 2), 4)
    assert [*state.waiting] == ["y", "x"]


def test_an_event_of_a_withdrawn_item_counts_and_one_of_an_unknown_one_goes_on_waiting() -> None:
    log = [
        FORM.withdrawal("a", 1),
        FORM.withdrawal("z", 1),
        *(shop.event("u", itemid, shop.VIEW, 1) for itemid in "az"),
    ]
    state = folded(log)
    assert [itemid for _, itemid, _ in state.profile("u").recent] == ["a"] and [*state.waiting] == ["z"]
    assert state.profile("u").counted == {}


def test_a_replaced_purchase_is_taken_back_under_the_attributes_that_it_was_counted_under() -> None:
    state = folded([put("a", 1, ["toys"]), shop.event("u", "a", shop.PURCHASE, 1), put("a", 2, ["garden"])])
    assert state.profile("u").tallies[0] == [0, 0, 1]
    state.take(shop.event("u", "a", shop.PURCHASE, 2), 3)
    assert state.profile("u").tallies[0] == [1, 0, 0]
    assert state.profile("u").counted == {(2, "a", shop.PURCHASE): state.layer.revision("a")}


def test_a_profile_forgets_the_revision_of_an_event_that_can_no_longer_be_taken_back() -> None:
    bought, viewed = shop.event("u", "a", shop.PURCHASE, 1), shop.event("u", "a", shop.VIEW, 2)
    state = folded([put("a", 1, ["toys"]), bought, viewed])
    assert {*state.profile("u").counted} == {(1, "a", shop.PURCHASE), (2, "a", shop.VIEW)}
    for ts in range(RECENT):
        state.take(shop.event("u", "b", shop.VIEW, 10 + ts))
    assert {*state.profile("u").counted} == {(1, "a", shop.PURCHASE)}
    state.take(put("a", 2, ["garden"]))
    state.take(shop.event("u", "a", shop.PURCHASE, 1_000))
    assert state.profile("u").tallies[0][0] == 1
    assert state.profile("u").counted == {(1_000, "a", shop.PURCHASE): state.layer.revision("a")}


def test_a_catalogue_that_is_older_than_a_profile_lacks_the_items_that_changed_since() -> None:
    state = folded([put("a", 1, ["toys"]), shop.event("u", "a", shop.VIEW, 1)])
    earlier = folded([])
    assert lacks(earlier.layer, state.profile("u")) == lacks(CATALOGUE.items, state.profile("u")) == {"a"}
    state.take(put("z", 1, []))
    state.take(shop.event("u", "z", shop.VIEW, 2))
    assert lacks(earlier.layer, state.profile("u")) == {"a", "z"}


def test_the_last_change_of_a_user_counts_and_an_erasure_ends_it() -> None:
    catalogue = shop.catalogue([*CATALOGUE.items.values()], [shop.user("u", 1)])
    state = State(SCHEMA, catalogue)
    state.take(shop.event("u", "a", shop.VIEW, 1))
    assert state.user("u").codes == (1,)
    before = state.profile("u").version
    state.take(FORM.user_change("u", {"segment": "new"}))
    assert (state.user("u").codes, state.profile("u").version) == ((0,), before + 1)
    state.take(FORM.user_change("u", {}))
    assert state.user("u").codes == (-1,)
    state.take(Erasure("u"))
    assert state.user("u").codes == (-1,) and state.changed_users == {}
    state.take(FORM.user_change("u", {"segment": "regular"}))
    assert state.user("u").codes == (1,)
    assert "u" not in state.profiles or not state.profiles["u"].version


def test_a_change_of_a_user_without_events_makes_no_profile() -> None:
    assert folded([FORM.user_change("u", {"segment": "new"})]).profiles == {}


def counts(state: State) -> Mapping[Id, object]:
    return {userid: (profile.n, profile.tallies) for userid, profile in state.profiles.items()}


@given(logs)
def test_an_erasure_leaves_nothing_of_a_user_that_waits(log: list[LogRecord]) -> None:
    state = folded([*log, Erasure("u"), put("z", 9, ["toys"])])
    assert "u" not in state.profiles
    assert all(event.userid != "u" for events in state.waiting.values() for _, event in events)
    assert counts(state).keys() <= {"v"}
